package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/cmd/signpost/importer"
	"github.com/signpost-fm/signpost/director/wording"
)

type initCmd struct {
	Icecast []string `placeholder:"URL" help:"A running Icecast or SHOUTcast. Again for each."`
	Sources []string `arg:"" optional:"" name:"source" help:"What import reads too: icecast.xml files, lists of URLs, and URLs of running servers."`
	Yes     bool     `short:"y" help:"Ask nothing, and take what is proposed."`
	importOptions

	usual []string // files to propose
}

// Run asks what is not given, if somebody is at the terminal, and writes the file.
func (c *initCmd) Run(ctx context.Context, out *console) error {
	c.usual = []string{"/etc/icecast2/icecast.xml", "/etc/icecast.xml", "/usr/local/etc/icecast.xml"} // of distributions
	return c.run(ctx, out, !c.Yes && client.IsTerminal(out.in))
}

func (c *initCmd) run(ctx context.Context, out *console, ask bool) error {
	talk := &conversation{in: bufio.NewScanner(out.in), out: out.err, silent: !ask}
	c.setOut()
	if err := c.mayWrite(); err != nil {
		if !talk.agrees(c.Out+" exists. Replace it?", false) {
			return err
		}
		c.Force = true
	}
	sources := slices.Concat(c.Icecast, c.Sources)
	if c.AzuraCast == "" && len(sources) == 0 && !ask {
		return errors.New("init: nobody is at the terminal to be asked; name the servers, as in `signpost init --icecast http://fra1.radio.example:8000 --icecast http://ams1.radio.example:8000`")
	}
	var found importer.Found
	if c.AzuraCast != "" || len(sources) > 0 {
		var err error
		if found, err = c.read(ctx, sources); err != nil {
			return err
		}
	} else if found, sources = c.askForServers(ctx, talk); len(found.Servers) == 0 {
		return errors.New("init: without a server there is nothing to write")
	}
	f := importer.Combine(found)
	if c.askForHosts(talk, f, &found) {
		f = importer.Combine(found)
	}
	c.locate(ctx, f)
	c.askForPlaces(talk, f)
	c.apply(f, "signpost init", sources)
	c.askForDirector(talk, f)
	c.askForSecrets(talk, f)
	return c.finish(f, out)
}

// askForServers reads each server as it is named, so that what is wrong is told at once.
func (c *initCmd) askForServers(ctx context.Context, talk *conversation) (found importer.Found, sources []string) {
	talk.say("Which streaming servers are there? Give the URL of a running Icecast or SHOUTcast, such as\nhttp://fra1.radio.example:8000, or a file: an icecast.xml, or a list of URLs.")
	proposed := ""
	for _, name := range c.usual {
		if _, err := os.Stat(name); err == nil && proposed == "" {
			proposed = name
		}
	}
	for {
		question := "A server"
		if len(sources) > 0 {
			question, proposed = "Another one (empty: that is all)", ""
		}
		source := talk.ask(question, proposed)
		if source == "" {
			if talk.ended || len(sources) > 0 {
				return found, sources
			}
			continue
		}
		if !strings.Contains(source, "://") && !strings.ContainsAny(source, "/=") {
			if _, err := os.Stat(source); err != nil { // a host, as people write it
				if _, _, err := net.SplitHostPort(source); err != nil {
					source = net.JoinHostPort(source, "8000")
				}
				source = "http://" + source
			}
		}
		one, err := c.read(ctx, []string{source})
		if err != nil {
			talk.say("%s", wording.Text(err))
			continue
		}
		found.Add(one)
		sources = append(sources, source)
		for _, s := range one.Servers {
			talk.say("  %s: %s", strings.Join(s.URLs, " "), cmp.Or(importer.PathsOf(s.Mounts), "its mounts are not known"))
		}
	}
}

// askForHosts asks by which names listeners reach servers that are known by an address,
// and which of several at one host are meant. It reports whether anything changed.
func (c *initCmd) askForHosts(talk *conversation, f *importer.Fleet, found *importer.Found) (changed bool) {
	asked := map[string]bool{}
	atHost := map[string][]string{}
	for i := range f.Nodes {
		host := f.Nodes[i].Host()
		atHost[host] = append(atHost[host], f.Nodes[i].URLs[0])
		_, err := netip.ParseAddr(host)
		if asked[host] || err != nil && host != "localhost" && strings.Contains(host, ".") {
			continue
		}
		asked[host] = true
		name := host
		for {
			name = talk.ask(fmt.Sprintf("By which name do listeners reach the server at %s?", host), host)
			if !strings.ContainsAny(name, "/ @?#") {
				break
			}
			talk.say("%q is not a host's name; write it as in fra1.radio.example.", name)
		}
		if name != host {
			for k := range found.Servers {
				if found.Servers[k].Host() == host {
					found.Servers[k].SetHost(name)
					changed = true
				}
			}
		}
	}
	for _, host := range slices.Sorted(maps.Keys(atHost)) {
		urls := atHost[host]
		if len(urls) < 2 || talk.agrees(fmt.Sprintf("%s has %s (%s). May listeners go to each of them?", host, wording.Count(len(urls), "server"), strings.Join(urls, " ")), true) {
			continue
		}
		for _, u := range urls {
			if !talk.agrees("To "+u+"?", true) {
				found.Servers = slices.DeleteFunc(found.Servers, func(s importer.Server) bool { return len(found.Servers) > 1 && slices.Contains(s.URLs, u) })
				changed = true
			}
		}
	}
	return changed
}

// askForPlaces asks where servers are that no database knows.
func (c *initCmd) askForPlaces(talk *conversation, f *importer.Fleet) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		for n.Place == "" {
			country := strings.ToUpper(talk.ask(fmt.Sprintf("In which country is %s? Two letters, such as DE; empty: it does not matter", n.ID), ""))
			if country == "" {
				break
			}
			if len(country) != 2 {
				talk.say("%q is not a country's two letters.", country)
				continue
			}
			n.Place = country
			f.Notes = slices.DeleteFunc(f.Notes, func(note importer.Note) bool { return note.PlaceOf == n.ID })
		}
	}
}

// askForDirector asks about the director itself.
func (c *initCmd) askForDirector(talk *conversation, f *importer.Fleet) {
	if c.Listen == "" {
		f.Listen = talk.ask("Where shall Signpost listen (address:port, or :port)?", f.Listen)
		if !strings.Contains(f.Listen, ":") {
			f.Listen = ":" + f.Listen
		}
	}
	if c.PublicURL == "" {
		proposed := ""
		if _, port, err := net.SplitHostPort(f.Listen); err == nil {
			if host, err := os.Hostname(); err == nil && strings.Contains(host, ".") {
				proposed = strings.TrimSuffix("http://"+host+":"+port, ":80")
			}
		}
		f.PublicURL = strings.TrimRight(talk.ask("Which URL will listeners be given for it (empty: it is not known yet)?", proposed), "/")
	}
	if c.DefaultMount == "" && len(f.Mounts) > 0 {
		f.DefaultMount = talk.ask(fmt.Sprintf("Which mount shall / stand for, of %s (empty: none)?", importer.PathsOf(f.Mounts)), "")
	}
}

// askForSecrets asks whether to write the administrators' passwords that files have.
func (c *initCmd) askForSecrets(talk *conversation, f *importer.Fleet) {
	var ids []string
	for i := range f.Nodes {
		if n := &f.Nodes[i]; n.Admin.Line() != "" && n.AdminFile == "" {
			ids = append(ids, n.ID)
		}
	}
	if len(ids) > 0 && !talk.silent && !c.WriteSecrets {
		c.WriteSecrets = talk.agrees(fmt.Sprintf("With the administrator's password of %s more is known, as of hidden mounts. Write it to a file that only you may read?", strings.Join(ids, ", ")), true) && !talk.ended
	}
}

// A conversation asks questions, each of which has a default.
type conversation struct {
	in     *bufio.Scanner
	out    io.Writer
	silent bool // nobody is asked: all defaults are taken
	ended  bool // nobody answers any more
}

func (c *conversation) say(format string, args ...any) {
	if !c.silent {
		fmt.Fprintf(c.out, format+"\n", args...)
	}
}

// ask returns the answer, or what is proposed if it is empty.
func (c *conversation) ask(question, proposed string) string {
	if c.silent || c.ended {
		return proposed
	}
	if proposed != "" {
		question += " [" + proposed + "]"
	}
	fmt.Fprint(c.out, question+" ")
	if !c.in.Scan() {
		c.ended = true
		fmt.Fprintln(c.out)
		return proposed
	}
	return cmp.Or(strings.TrimSpace(c.in.Text()), proposed)
}

// agrees asks for yes or no.
func (c *conversation) agrees(question string, proposed bool) bool {
	word := map[bool]string{true: "yes", false: "no"}
	for {
		switch strings.ToLower(c.ask(question, word[proposed])) {
		case "yes", "y":
			return true
		case "no", "n":
			return false
		}
		c.say("Please answer yes or no.")
	}
}
