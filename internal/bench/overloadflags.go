package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
)

// overload is the flags of that command.
type overload struct {
	binary      string
	flags       []string
	version     string
	times       float64
	connections int
	length      time.Duration
	write       string
}

const overloadUsage = `Usage: bench overload [flags]

Measures how many token requests a server answers in a second, and then sends several times as many, all by one caller and by many.
Beside them other callers ask now and then. The working directory is the module's, unless --binary is given. The load
generator uses half of the processors; with GOMAXPROCS=1 in the environment, the server uses one.

`

func parseOverloadFlags(args []string, out io.Writer) (*overload, error) {
	o := &overload{}
	fs := pflag.NewFlagSet(overloadCommand, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(out)
	fs.Usage = func() { _, _ = fmt.Fprint(out, overloadUsage+fs.FlagUsages()) }
	fs.StringVar(&o.binary, "binary", "", "the mintmark to measure. Default: one that is built for it")
	fs.StringArrayVar(&o.flags, "server-flag", nil, "flag to start it with; may be repeated. Default: its defaults")
	fs.StringVar(&o.version, "http", string(http1), "version of HTTP: 1.1 or 2")
	fs.Float64Var(&o.times, "times", 4, "how many times the capacity is offered")
	fs.IntVar(&o.connections, "connections", 600, "how many connections offer it; with HTTP/2, streams")
	fs.DurationVar(&o.length, "for", 12*time.Second, "how long an overload lasts")
	fs.StringVar(&o.write, "write", "", "file to write the figures into, as they are in docs/performance.md")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("there are no arguments, only flags: %q", fs.Args())
	case o.version != string(http1) && o.version != string(http2):
		return nil, errors.New("--http: 1.1 or 2")
	case o.times <= 0 || o.connections < 1 || o.length < time.Second:
		return nil, errors.New("--times, --connections, --for: nothing would be measured")
	}
	return o, nil
}
