package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/signpost-fm/signpost/cmd/signpost/config"
	"github.com/signpost-fm/signpost/cmd/signpost/service"
)

const deployDir = root + "/deploy"

// deployedConfigs are the directors' configurations in deploy/, those within
// Kubernetes manifests among them.
func deployedConfigs(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, name := range []string{"compose/signpost/signpost.yaml", "sentinel/signpost.yaml", "autoscaling/signpost.yaml"} {
		source, err := os.ReadFile(filepath.Join(deployDir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = source
	}
	for _, m := range manifests(t) {
		if text, ok := m.Data["signpost.yaml"]; ok {
			all[m.file] = []byte(text)
		}
	}
	return all
}

// deployed settles a configuration of deploy/ as if its secrets were in place.
func deployed(t *testing.T, name string, source []byte) *config.Settings {
	t.Helper()
	dir := t.TempDir()
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte("token")))
	secret := strings.Repeat("s", 64)
	for file, text := range map[string]string{
		"tokens": "somebody operate " + hash, "placement": secret, "placement.secret": secret,
		"redis": "password", "redis.password": "password", "icecast": "admin:password",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	here := strings.NewReplacer("/secrets/director/", dir+"/", "/etc/signpost-secrets/", dir+"/").Replace(string(source))
	s, err := readConfig(filepath.Join(dir, "signpost.yaml"), []byte(here))
	if err != nil {
		t.Fatalf("%s:\n%v", name, err)
	}
	return s
}

// TestDeployedConfigurations: what stands in deploy/ is good, and its operator has
// nothing to be warned of.
func TestDeployedConfigurations(t *testing.T) {
	t.Parallel()
	all := deployedConfigs(t)
	if len(all) != 4 {
		t.Errorf("%d configurations, want 4", len(all))
	}
	for name, source := range all {
		s := deployed(t, name, source)
		warnings, err := s.Warnings()
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range warnings {
			t.Errorf("%s: %s", name, w)
		}
	}
}

// stopping is how long a director may take to end.
func stopping(s *config.Settings) time.Duration {
	return s.Listen.ShutdownDelay + s.Proxy.DrainTimeout + s.Listen.ShutdownTimeout + service.CloseTimeout
}

// A manifest is what the tests look at of a Kubernetes object.
type manifest struct {
	file     string
	Kind     string
	Metadata struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Data map[string]string
	Spec struct {
		Selector        any
		SessionAffinity string `yaml:"sessionAffinity"`
		Template        struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Grace int `yaml:"terminationGracePeriodSeconds"`
			}
		}
		ScaleTargetRef struct{ Kind, Name string } `yaml:"scaleTargetRef"`
		Metrics        []struct {
			Pods struct{ Metric struct{ Name string } }
		}
	}
}

func manifests(t *testing.T) []manifest {
	t.Helper()
	var all []manifest
	files, _ := filepath.Glob(deployDir + "/kubernetes/*.yaml")
	for _, name := range append(files, deployDir+"/autoscaling/icecast.yaml") {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(source), "\n---\n") {
			m := manifest{file: fmt.Sprintf("%s#%d", filepath.Base(name), i)}
			if err := yaml.Unmarshal([]byte(part), &m); err != nil {
				t.Fatalf("%s: %v", m.file, err)
			}
			if m.Kind == "" || m.Metadata.Name == "" || m.Metadata.Namespace != "signpost" {
				t.Errorf("%s is no object of the namespace: %+v", m.file, m.Metadata)
			}
			all = append(all, m)
		}
	}
	return all
}

// TestKubernetes: the objects find each other, and nobody is killed while draining.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	all := manifests(t)
	of := func(kind string) *manifest {
		i := slices.IndexFunc(all, func(m manifest) bool { return m.Kind == kind })
		if i < 0 {
			t.Fatalf("there is no %s", kind)
		}
		return &all[i]
	}
	d := of("Deployment")
	s := deployed(t, "config.yaml", deployedConfigs(t)["config.yaml#0"])
	if grace := time.Duration(d.Spec.Template.Spec.Grace) * time.Second; grace < stopping(s) {
		t.Errorf("a pod is killed after %v, and may take %v to stop", grace, stopping(s))
	}
	for _, m := range all {
		if text := fmt.Sprint(m.Spec.Selector); m.Spec.Selector != nil && m.Metadata.Name != "edge" && !strings.Contains(text, d.Spec.Template.Metadata.Labels["app.kubernetes.io/name"]) {
			t.Errorf("%s selects %s, and the pods have %v", m.file, text, d.Spec.Template.Metadata.Labels)
		}
	}
	h := of("HorizontalPodAutoscaler")
	if r := h.Spec.ScaleTargetRef; r.Kind != d.Kind || r.Name != d.Metadata.Name {
		t.Errorf("the autoscaler is for %+v", r)
	}
	adapter, err := os.ReadFile(deployDir + "/kubernetes/prometheus-adapter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range h.Spec.Metrics {
		if name := m.Pods.Metric.Name; name != "" && (!strings.Contains(string(adapter), name) || name != "signpost_inline_budget_kbit") {
			t.Errorf("nobody gives the autoscaler %s", name)
		}
	}
}

// TestCompose: what is pulled is pinned, what is mounted is there, the directors have
// the time to stop, and there is no secret.
func TestCompose(t *testing.T) {
	t.Parallel()
	var file struct {
		Services map[string]struct {
			Image       string
			Build       struct{ Context string }
			Restart     string
			Volumes     []string
			Environment map[string]string
			StopGrace   string         `yaml:"stop_grace_period"`
			DependsOn   map[string]any `yaml:"depends_on"`
			Healthcheck any
			Ports       []string
		}
		Volumes map[string]any
	}
	source, err := os.ReadFile(root + "/docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(source, &file, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	pinned := regexp.MustCompile(`:v?\d+\.\d+\.\d+[a-z0-9.-]*$`)
	for name, s := range file.Services {
		if s.Build.Context == "" && !pinned.MatchString(s.Image) {
			t.Errorf("%s: %s has no version of three numbers", name, s.Image)
		}
		if s.Healthcheck == nil && s.Image != "signpost:compose" && name != "secrets" && name != "geoipupdate" {
			t.Errorf("%s has no health check", name)
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, declared := file.Volumes[from]; declared {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, from)); !strings.HasPrefix(from, "./deploy/") || err != nil {
				t.Errorf("%s mounts %s, which is not there", name, from)
			}
		}
		for key, value := range s.Environment {
			if regexp.MustCompile(`(?i)(password|token|key|secret)$`).MatchString(key) && !strings.HasPrefix(value, "${") {
				t.Errorf("%s: %s stands in the file", name, key)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s: port %s is everybody's", name, p)
			}
		}
		for other := range s.DependsOn {
			if _, ok := file.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
		}
	}
	const config = "compose/signpost/signpost.yaml"
	s := deployed(t, config, deployedConfigs(t)[config])
	for _, name := range []string{"director1", "director2"} {
		if grace, err := time.ParseDuration(file.Services[name].StopGrace); err != nil || grace < stopping(s) {
			t.Errorf("%s is killed after %q, and may take %v to stop", name, file.Services[name].StopGrace, stopping(s))
		}
	}
	if ignored, err := os.ReadFile(root + "/.gitignore"); err != nil || !strings.Contains(string(ignored), "/.env\n") {
		t.Errorf("git does not ignore .env, which holds a licence key (%v)", err)
	}
}

// TestUnits: systemd waits longer than a director with the defaults takes to stop.
func TestUnits(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile(deployDir + "/systemd/signpost.service")
	if err != nil {
		t.Fatal(err)
	}
	s, err := readConfig("radio.yaml", []byte(`nodes: [{id: a, urls: "http://a.example"}]`))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^TimeoutStopSec=(\w+)$`).FindStringSubmatch(string(unit))
	if m == nil {
		t.Fatal("no TimeoutStopSec")
	}
	if grace, err := time.ParseDuration(m[1]); err != nil || grace < stopping(s) {
		t.Errorf("a director is killed after %s, and may take %v to stop", m[1], stopping(s))
	}
}

// TestSocketMemory: kernel and unit let as many inline listeners stall as a director
// takes connections with the defaults.
func TestSocketMemory(t *testing.T) {
	t.Parallel()
	s, err := readConfig("radio.yaml", []byte(`nodes: [{id: a, urls: "http://a.example"}]`))
	if err != nil {
		t.Fatal(err)
	}
	const stalled, page = 131_851, 4096 // bytes; the first is what docs/performance.md measured
	need := s.Listen.MaxConnections * stalled
	for file, of := range map[string]struct {
		pattern string
		unit    int // bytes
	}{
		"90-signpost.conf": {`net\.ipv4\.tcp_mem = \d+ (\d+) \d+`, page},
		"signpost.service": {`MemoryMax=(\d+)G`, 1 << 30},
	} {
		b, err := os.ReadFile(deployDir + "/systemd/" + file)
		m := regexp.MustCompile("(?m)^" + of.pattern + "$").FindSubmatch(b)
		if err != nil || m == nil {
			t.Errorf("%s: nothing is like %s (%v)", file, of.pattern, err)
			continue
		}
		if n, err := strconv.Atoi(string(m[1])); err != nil || n*of.unit < need {
			t.Errorf("%s: %s are fewer bytes than the %d that %d listeners take", file, m[0], need, s.Listen.MaxConnections)
		}
	}
}

// TestAgentFiles: whoever follows the recipe for a machine image has all files that the
// agent's unit needs, its user's among them.
func TestAgentFiles(t *testing.T) {
	t.Parallel()
	for page, files := range map[string][]string{
		"autoscaling/README.md":          {"signpost-agent.service", "signpost.sysusers", "agent.env.example"},
		"systemd/signpost-agent.service": {"signpost.sysusers", "agent.env.example"},
	} {
		text, err := os.ReadFile(filepath.Join(deployDir, page))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if _, err := os.Stat(filepath.Join(deployDir, "systemd", file)); err != nil || !strings.Contains(string(text), file) {
				t.Errorf("%s does not name %s (%v)", page, file, err)
			}
		}
	}
}

// TestReleaseHasWhatTheREADMELinksTo: its links lead somewhere in an archive too.
func TestReleaseHasWhatTheREADMELinksTo(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`cp -R (.*) dist/`).FindSubmatch(makefile)
	if m == nil {
		t.Fatal("the Makefile copies nothing into a release")
	}
	shipped := strings.Fields(string(m[1]))
	readme, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range regexp.MustCompile(`\]\(([\w-]+[\w./-]*)`).FindAllSubmatch(readme, -1) {
		if strings.HasPrefix(string(link[1]), "http") {
			continue
		}
		if top, _, _ := strings.Cut(string(link[1]), "/"); !slices.Contains(shipped, top) {
			t.Errorf("a release has no %s", link[1])
		}
	}
}

// TestSessionsInKubernetes: a session is known to one director, and a browser has to
// stay with it.
func TestSessionsInKubernetes(t *testing.T) {
	t.Parallel()
	found := false
	for _, m := range manifests(t) {
		if m.Kind == "Service" && m.Metadata.Name == "signpost-admin" {
			found = true
			if m.Spec.SessionAffinity != "ClientIP" {
				t.Errorf("sessionAffinity is %q", m.Spec.SessionAffinity)
			}
		}
	}
	if !found {
		t.Error("there is no service for operators")
	}
}

// TestAgentUnit: a restart ends the agent by the signal that hands over, and what it
// hands over by is still there afterwards.
func TestAgentUnit(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile(deployDir + "/systemd/signpost-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`^ExecStart=/usr/local/bin/signpost agent .*--instance-file %t/signpost-agent/instance `,
		`^RuntimeDirectory=signpost-agent$`, `^RuntimeDirectoryPreserve=restart$`, `^RestartKillSignal=SIGUSR1$`,
	} {
		if !regexp.MustCompile("(?m)" + want).Match(unit) {
			t.Errorf("no line is like %s", want)
		}
	}
}

// TestOneGo: image and release are made by the same Go, or they are not the same.
func TestOneGo(t *testing.T) {
	t.Parallel()
	find := func(file, pattern string) string {
		b, err := os.ReadFile(root + "/" + file)
		m := regexp.MustCompile(pattern).FindSubmatch(b)
		if err != nil || m == nil {
			t.Fatalf("%s: no %s (%v)", file, pattern, err)
		}
		return string(m[1])
	}
	image, release := find("Dockerfile", `FROM golang:([\d.]+)-`), find("Makefile", `RELEASE_GO = go([\d.]+)`)
	if image != release {
		t.Errorf("the Dockerfile has Go %s, make release %s", image, release)
	}
}

// TestNoTraces: deploy/ holds no secret and no placeholder that would work as one.
func TestNoTraces(t *testing.T) {
	t.Parallel()
	secret := regexp.MustCompile(`[0-9a-f]{32,}|BEGIN [A-Z ]*PRIVATE KEY|hackme`)
	err := filepath.WalkDir(deployDir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		if m := secret.Find(b); m != nil {
			t.Errorf("%s holds %q", name, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestArchitectureNamesFiles: what docs/architecture.md leads a reader to is there.
// A name without a directory stands in that of the name before it.
func TestArchitectureNamesFiles(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(root + "/docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, n := "", 0
	for _, m := range regexp.MustCompile("`([a-z_/]+\\.go)`").FindAllStringSubmatch(string(page), -1) {
		name := m[1]
		if strings.Contains(name, "/") {
			dir = filepath.Dir(name)
		} else {
			name = filepath.Join(dir, name)
		}
		n++
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
	}
	if n < 10 {
		t.Errorf("%d files are named", n)
	}
}

// TestPackageVersions: versions sort as dpkg and rpm have them, and one that is released is
// in the list of changes.
func TestPackageVersions(t *testing.T) {
	t.Parallel()
	sh := func(script string, args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), filepath.Join(root, ".ci", script), args...).Output()
		return strings.TrimSpace(string(out)), err
	}
	for version, want := range map[string]string{
		"v1.2.3": "1.2.3", "v1.3.0-rc.1": "1.3.0~rc.1", "v1.2.3-5-g0123456789ab": "1.2.3+5.g0123456789ab",
		"v1.3.0-rc.1-7-gabc": "1.3.0~rc.1+7.gabc", "0123456789ab": "0.0.0+20260504.0123456789ab",
		"0123456789ab-dirty": "0.0.0+20260504.0123456789ab.dirty", "v1.2.3-dirty": "1.2.3+dirty",
		"a/b": "",
	} {
		got, err := sh("package-version", version, "2026-05-04T12:00:00Z")
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v, want %q", version, got, err, want)
		}
	}
	file := filepath.Join(t.TempDir(), "CHANGELOG.md")
	text := "# Changes\n\n## Unreleased\n\n## 1.2.3 - 2026-05-04\n\n## 1.0.0-rc.1 - 2026-05-01\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for version, good := range map[string]bool{
		"v1.2.3": true, "v1.0.0-rc.1": true, "v1.2.3-5-g0123456789ab": true, "0123456789ab": true, "v1.2.3-dirty": true,
		"v1.2.4": false, "v1.2": false, "v11213": false, "v1.0.0": false,
	} {
		if _, err := sh("changelog", version, file); (err == nil) != good {
			t.Errorf("%s: %v", version, err)
		}
	}
	if _, err := sh("changelog", "0123456789ab", filepath.Join(root, "CHANGELOG.md")); err != nil {
		t.Errorf("our own list has no part for what is not released: %v", err)
	}
}

// TestPackageScripts: what the packages run are shell scripts without a mistake in them, and
// what nfpm is told to take is there.
func TestPackageScripts(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(deployDir, "packages")
	source, err := os.ReadFile(filepath.Join(dir, "nfpm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var nfpm struct {
		Contents  []struct{ Src, Dst string }
		Overrides map[string]struct{ Scripts map[string]string }
	}
	if err := yaml.Unmarshal(source, &nfpm); err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	for _, c := range nfpm.Contents {
		if c.Src != "" && !strings.Contains(c.Src, "$") {
			files[c.Src] = false
		}
	}
	for _, kind := range []string{"deb", "rpm"} {
		for _, script := range nfpm.Overrides[kind].Scripts {
			files[script] = true
		}
	}
	if len(files) != 6 {
		t.Errorf("%d files, want two examples and four scripts: %v", len(files), files)
	}
	for name, script := range files {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		} else if script {
			if out, err := exec.CommandContext(t.Context(), "sh", "-n", filepath.Join(root, name)).CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", name, err, out)
			}
		}
	}
}
