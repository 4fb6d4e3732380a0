// Signpost directs listeners of radio streams to the node that serves them best.
//
// This package has the commands: flags, signals and output. The packages below it do
// the work. See `signpost --help`.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/alecthomas/kong"

	"github.com/signpost-fm/signpost/cmd/signpost/client"
	"github.com/signpost-fm/signpost/cmd/signpost/yamlfile"
	"github.com/signpost-fm/signpost/director/wording"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// Exit codes. A refused configuration is a failure, and so is a director that cannot be reached.
const (
	exitFailure = 1
	exitUsage   = 2
)

// cli is the command line. What differs between machines can be set in the environment
// too. A flag overrides the environment, and both override the file.
type cli struct {
	Serve    serveCmd    `cmd:"" help:"Direct listeners, by a configuration file."`
	Agent    agentCmd    `cmd:"" help:"Keep a streaming server registered at the directors. Runs beside the server."`
	Demo     demoCmd     `cmd:"" help:"Try Signpost: three small nodes and a director, in this process."`
	Check    checkCmd    `cmd:"" help:"Check a configuration file, and show what it means."`
	Explain  explainCmd  `cmd:"" help:"Show where a listener would be sent, and why."`
	Simulate simulateCmd `cmd:"" help:"Play a day of listeners against a configuration file: does the fleet survive it?"`
	Init     initCmd     `cmd:"" help:"Write a first configuration file: asks for the servers and looks at them."`
	Import   importCmd   `cmd:"" help:"Write a configuration file for servers that are there: from icecast.xml, running Icecasts, an AzuraCast, or a list of URLs."`
	Geo      geoCmd      `cmd:"" help:"Keep geographic databases fresh."`
	Ready    readyCmd    `cmd:"" help:"Ask a director whether it is ready for listeners: a health check for images without curl."`

	Certificates certificatesCmd `cmd:"" help:"Show, export, import or replace the certificates that directors share."`

	Nodes    client.NodesCmd    `cmd:"" group:"operate" help:"Show the nodes."`
	Weights  client.WeightsCmd  `cmd:"" group:"operate" help:"Show or change the regions' weights."`
	Overflow client.OverflowCmd `cmd:"" group:"operate" help:"Show or change where regions overflow."`
	Drain    client.DrainCmd    `cmd:"" group:"operate" help:"Stop sending a node new listeners."`
	Disable  client.DisableCmd  `cmd:"" group:"operate" help:"Drain a node, and stop probing it too."`
	Resume   client.ResumeCmd   `cmd:"" group:"operate" help:"Send a node listeners again."`
	Rules    client.RulesCmd    `cmd:"" group:"operate" help:"Show or change client rules."`
	History  client.HistoryCmd  `cmd:"" group:"operate" help:"Show what operators changed."`
	Undo     client.UndoCmd     `cmd:"" group:"operate" help:"Undo a change."`
	Whatif   client.WhatIfCmd   `cmd:"" group:"operate" help:"Forecast the listeners if nodes died, were drained or had other weights."`
	Status   client.StatusCmd   `cmd:"" group:"operate" help:"Show the state of the directors."`

	Completion client.CompletionCmd `cmd:"" help:"Print a shell's completion script."`
	Complete   client.CompleteCmd   `cmd:"" hidden:"" help:"Complete a command line, for those scripts."`

	Man         manCmd      `cmd:"" help:"Print a manual page, or write all of them."`
	Licenses    licensesCmd `cmd:"" help:"Show the licences of all that is linked and embedded, or the bill of materials."`
	Version     versionCmd  `cmd:"" help:"Show the version, and the source of the embedded geo database."`
	Help        helpCmd     `cmd:"" help:"Show what a command does, and its options."`
	ShowVersion versionFlag `name:"version" help:"Show the version."`
}

// helpCmd is answered by run: it is another way to write --help.
type helpCmd struct {
	Command []string `arg:"" optional:"" help:"The command, such as drain, or weights set."`
}

// Run does nothing.
func (helpCmd) Run() error { return nil }

// versionFlag prints the version in place of whatever else was asked.
type versionFlag bool

// BeforeReset comes before all that could be wrong with the command line.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	err := versionCmd{}.Run(&console{out: app.Stdout})
	app.Exit(0)
	return err
}

// console has the standard streams of a command.
type console struct {
	in       io.Reader
	out, err io.Writer
}

func run(args []string, in io.Reader, out, errOut io.Writer) int {
	if len(args) == 0 { // what there is to write is the answer, and no success
		run([]string{"--help"}, in, errOut, errOut)
		return exitUsage
	}
	var c cli
	helped := -1 // kong's exit code, once it has printed help or the version
	parser, err := kong.New(&c,
		kong.Name("signpost"),
		kong.Description("Signpost sends each listener of a radio stream to the node that serves them best."),
		kong.Writers(out, errOut),
		kong.Exit(func(code int) { helped = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ExplicitGroups([]kong.Group{{Key: "operate", Title: "Commands to operate running directors:"}}),
	)
	if err != nil {
		panic(err) // the tags of cli are wrong
	}
	args = arrange(parser.Model.Node, args)
	call, err := parser.Parse(args)
	if err == nil && call.Selected().Name == "help" {
		_, err = parser.Parse(append(c.Help.Command, "--help"))
	}
	switch {
	case helped >= 0:
		return helped
	case err != nil:
		fmt.Fprintln(errOut, usageError(parser.Model.Node, err))
		return exitUsage
	}
	call.BindTo(context.Background(), (*context.Context)(nil))
	terminal := &client.Terminal{Out: out, Err: errOut, Getenv: os.Getenv, Now: time.Now}
	if err := call.Run(&console{in, out, errOut}, terminal, parser.Model); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(errOut, describeError(err))
		return exitFailure
	}
	return 0
}

// describeError adds the program's name, but not to mistakes in a file: each of those
// begins with its position.
func describeError(err error) string {
	var f *yamlfile.Error
	if errors.As(err, &f) {
		return err.Error()
	}
	return "signpost: " + wording.Text(err)
}
