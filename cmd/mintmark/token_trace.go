package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/internal/audittrail"
)

type tokenTrace struct {
	output       outputFormat
	logs         []string
	selection    audittrail.Selection
	since, until string
}

func newTokenTraceCommand(s streams) *cobra.Command {
	c := &tokenTrace{output: outputFormat{allowed: []string{"json"}}}
	cmd := &cobra.Command{
		Use:   "trace CREDENTIAL-ID|TOKEN|- --audit-log FILE|PATTERN|-",
		Short: "Follow a token through audit logs: who asked for it, who used it, who revoked it",
		Long: `Read audit logs and print the life of a token in the order of time: who asked for it, from
where and for what; which requests were made with it; who had it reviewed, with which
verdicts; and who revoked it. No server is asked.

The token is named by its credential id (JTI=…, the id of a client certificate X509SHA256=…,
or SHA256=…), or is given itself. With - it is read from standard input. That is the better
way, since other users of the machine can see a command's arguments. The token itself is never
printed. In place of one token, --service-account, --requested-by and --key select several.

Logs hold one event a line, as --audit-log-path writes them, at the level Metadata or above;
those of a kube-apiserver can be read as well. They may be compressed with gzip, and their
order does not matter. A pattern such as '/var/log/mintmark/audit*' names the rotated files,
too. Lines that are no events are skipped and counted.

Exit code: 0 if there are events, 1 if there are none or a log could not be read, 2 for wrong
usage.`,
		Example: `  # A token that was found somewhere
  mintmark token trace - --audit-log '/var/log/mintmark/audit*' < token

  # All tokens of an account in the last day, from the logs of two replicas
  mintmark token trace --service-account default/app --since 24h \
    --audit-log '/logs/one/audit*' --audit-log '/logs/two/audit*'`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usageErrorf(cmd, "more than one token given: to name several logs put quotes around a pattern, or repeat --audit-log")
			case c.selects() == "":
				return tokenArg(cmd, args)
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, args, s) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&c.logs, "audit-log", nil, "Audit log to read: a file, a pattern, or - for standard input; may be repeated")
	flags.StringVar(&c.selection.ServiceAccount, "service-account", "", "Trace the tokens of this account, NAMESPACE/NAME, in place of one token")
	flags.StringVar(&c.selection.RequestedBy, "requested-by", "", "Trace the tokens that this user asked for")
	flags.StringVar(&c.selection.KeyID, "key", "", "Trace the tokens that the key with this id signed")
	flags.StringVar(&c.since, "since", "", "Leave out events before this time (RFC 3339), or before this long ago, such as 24h")
	flags.StringVar(&c.until, "until", "", "Leave out events from this time on (RFC 3339), or from this long ago on")
	_ = cmd.MarkFlagFilename("audit-log")
	for _, name := range []string{"service-account", "requested-by", "key", "since", "until"} {
		completeFlag(cmd, name)
	}
	c.output.addTo(cmd)
	return cmd
}

// selects is the flag that selects tokens; empty if none does.
func (c *tokenTrace) selects() string {
	for name, value := range map[string]string{
		"--service-account": c.selection.ServiceAccount, "--requested-by": c.selection.RequestedBy, "--key": c.selection.KeyID,
	} {
		if value != "" {
			return name
		}
	}
	return ""
}

func (c *tokenTrace) run(cmd *cobra.Command, args []string, s streams) error {
	if err := c.complete(cmd, args, s); err != nil {
		return err
	}
	logs, err := audittrail.Open(c.logs, s.in)
	if err != nil {
		return fmt.Errorf("--audit-log: %w", err)
	}
	defer logs.Close()
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	printer := &tracePrinter{out: s.out, json: c.output.value == "json", one: c.selection.Credential != nil}
	var report *audittrail.Report
	done := make(chan error, 1)
	bar := startProgress(s.err, logs.Progress)
	go func() {
		var err error
		report, err = audittrail.Trace(ctx, logs, &c.selection, func(e *audittrail.Entry) error {
			bar.stop()
			return printer.print(e)
		})
		bar.stop()
		done <- err
	}()
	select {
	case err = <-done:
	case <-cmd.Context().Done():
		bar.stop() // a read from a terminal does not end by itself
		return errors.New("interrupted")
	}
	if errors.Is(err, audittrail.ErrReadTwice) {
		return usageErrorf(cmd, "%s: %w", c.selects(), err)
	}
	if err != nil {
		return err
	}
	if err := printer.end(report); err != nil {
		return err
	}
	return conclude(s, report)
}

// complete checks the flags and reads the token.
func (c *tokenTrace) complete(cmd *cobra.Command, args []string, s streams) error {
	given := len(args)
	for _, value := range []string{c.selection.ServiceAccount, c.selection.RequestedBy, c.selection.KeyID} {
		if value != "" {
			given++
		}
	}
	if given > 1 {
		return usageErrorf(cmd, "name one of a token, --service-account, --requested-by and --key")
	}
	if len(c.logs) == 0 {
		return usageErrorf(cmd, "no audit log named: use --audit-log, with the path that the server has as --audit-log-path")
	}
	if account := c.selection.ServiceAccount; account != "" {
		namespace, name, ok := strings.Cut(account, "/")
		if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
			return usageErrorf(cmd, "--service-account must be NAMESPACE/NAME")
		}
	}
	var err error
	if c.selection.Since, err = timeOrAgo(c.since); err != nil {
		return usageErrorf(cmd, "--since: %w", err)
	}
	if c.selection.Until, err = timeOrAgo(c.until); err != nil {
		return usageErrorf(cmd, "--until: %w", err)
	}
	if len(args) == 0 {
		return nil
	}
	for _, log := range c.logs {
		if log == audittrail.Standard && args[0] == "-" {
			return usageErrorf(cmd, "the token and an audit log can't both be read from standard input")
		}
	}
	token, err := readToken(cmd.Context(), cmd, s, args[0])
	if err != nil {
		return err
	}
	c.selection.Credential, err = audittrail.ParseCredential(token)
	if err != nil {
		return usageErrorf(cmd, "%w", err)
	}
	return nil
}

// timeOrAgo reads a time, or how long ago it was. Nothing is no time.
func timeOrAgo(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return time.Now().Add(-ago.Abs()), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, errors.New("a time is written as in 2026-05-04T03:02:01Z, or as how long ago it was, as in 24h")
	}
	return at, nil
}

// conclude says what was read, and returns the exit code.
func conclude(s streams, report *audittrail.Report) error {
	if _, err := fmt.Fprintln(s.err, summary(report)); err != nil {
		return err
	}
	for _, problem := range report.Problems {
		if _, err := fmt.Fprintf(s.err, "warning: %s\n", plain(problem)); err != nil {
			return err
		}
	}
	switch {
	case len(report.Problems) > 0:
		return errors.New("the trace may be incomplete, since not all of the logs could be read")
	case report.Lines > 0 && report.Skipped+report.TooLong == report.Lines:
		return errors.New("the logs hold no audit events: are they written with --audit-log-format=json?")
	case report.Entries == 0:
		return errors.New("no event is about this: are these the logs of the servers that saw it, of that time, at the level Metadata or above?")
	}
	return nil
}

func summary(report *audittrail.Report) string {
	text := fmt.Sprintf("%s in %s of %s", counted(int64(report.Entries), "event"), counted(report.Lines, "line"), counted(int64(report.Files), "log"))
	var skipped []string
	if report.Skipped > 0 {
		skipped = append(skipped, fmt.Sprintf("%d not an event, or torn", report.Skipped))
	}
	if report.TooLong > 0 {
		skipped = append(skipped, fmt.Sprintf("%d longer than %d MiB", report.TooLong, audittrail.MaxLine>>20))
	}
	if skipped != nil {
		text += "; skipped: " + strings.Join(skipped, ", ")
	}
	return text
}

func counted(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
