package client

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
)

// Access is where the directors are, and the token for them. For each the flag comes
// first, then the environment, then ~/.config/signpost/client.yaml.
type Access struct {
	Server    []string `placeholder:"URL" help:"The operators' side of a director, http://director1.example:8001 ($$SIGNPOST_SERVER). Given several, the next is asked while one is away."`
	TokenFile string   `placeholder:"FILE" help:"A file with the token for it ($$SIGNPOST_TOKEN_FILE, or the token itself in $$SIGNPOST_TOKEN)."`
}

// A clientFile is ~/.config/signpost/client.yaml.
type clientFile struct {
	Server    []string `yaml:"server"`
	TokenFile string   `yaml:"token_file"` // relative to the file
}

// read reads the file. The error has its mistakes without the lines themselves:
// somebody may have written a token there.
func (f *clientFile) read(name string) error {
	source, err := yamlfile.Source(name)
	if err != nil {
		return err
	}
	_, err = yamlfile.Parse(name, source, f, "the file is empty; it has the keys server and token_file, or need not be there")
	var refused *yamlfile.Error
	if errors.As(err, &refused) {
		return errors.New(strings.Join(refused.Lines(), "\n"))
	}
	return err
}

const (
	// defaultServer is where a director's operators' side listens if its
	// configuration does not say otherwise.
	defaultServer = "http://127.0.0.1:8001"

	callTimeout   = 10 * time.Second
	maxTokenBytes = 4 << 10 // what fits into a header of any server
)

// A found setting is a value and where it was found.
type found struct{ value, source string }

// Open finds directors and token by flags, environment and file. The error names the
// source of a bad value.
func (a Access) Open(t *Terminal) (*Session, error) {
	getenv := t.Getenv
	var file clientFile
	name := clientFileName(getenv)
	if name != "" {
		if err := file.read(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	s := &Session{Directors: Directors{Timeout: callTimeout}}
	list, source := []string{defaultServer}, ""
	switch {
	case len(a.Server) > 0:
		list, source = a.Server, "--server"
	case getenv("SIGNPOST_SERVER") != "":
		list, source = strings.Split(getenv("SIGNPOST_SERVER"), ","), "SIGNPOST_SERVER"
	case len(file.Server) > 0:
		list, source = file.Server, name
	}
	for _, server := range list {
		u, err := ParseServer(strings.TrimSpace(server))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", source, err)
		}
		s.URLs = append(s.URLs, u)
	}
	s.serversBy = "the address is from " + source
	if source == "" {
		s.serversBy = "the address is the default; --server gives another, or SIGNPOST_SERVER, or server in " + cmp.Or(name, "client.yaml")
	}
	token, err := a.token(getenv, name, file)
	s.Token, s.tokenBy = token.value, token.source
	return s, err
}

func (a Access) token(getenv func(string) string, name string, file clientFile) (token found, err error) {
	var from found // a file
	switch env := getenv("SIGNPOST_TOKEN"); {
	case a.TokenFile != "":
		from = found{a.TokenFile, "--token-file"}
	case env != "":
		return checkToken(found{env, "SIGNPOST_TOKEN"})
	case getenv("SIGNPOST_TOKEN_FILE") != "":
		from = found{getenv("SIGNPOST_TOKEN_FILE"), "SIGNPOST_TOKEN_FILE"}
	case file.TokenFile != "":
		from = found{file.TokenFile, name}
		if !filepath.IsAbs(from.value) {
			from.value = filepath.Join(filepath.Dir(name), from.value)
		}
	default:
		return found{}, nil
	}
	text, err := ReadToken(from.value)
	if err != nil {
		return found{}, fmt.Errorf("%s: %w", from.source, err)
	}
	return found{text, fmt.Sprintf("%s (%s)", from.value, from.source)}, nil
}

// ReadToken reads a file that holds one token.
func ReadToken(name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	t, err := checkToken(found{string(b), name})
	return t.value, err
}

func checkToken(t found) (found, error) {
	t.value = strings.TrimSpace(t.value)
	switch {
	case t.value == "":
		return t, fmt.Errorf("%s holds no token", t.source)
	case len(t.value) > maxTokenBytes || strings.ContainsFunc(t.value, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsSpace(r) || unicode.IsControl(r) }):
		return t, fmt.Errorf("%s does not hold one token, which is ASCII without blanks", t.source)
	}
	return t, nil
}

// clientFileName returns the file's path; empty: there is none.
func clientFileName(getenv func(string) string) string {
	dir := getenv("XDG_CONFIG_HOME")
	if home := getenv("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "signpost", "client.yaml")
}
