package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/internal/apiserver"
)

// newClockCommand is about the clock of a server for tests.
func newClockCommand(s streams) *cobra.Command {
	connect := &connectionFlags{}
	cmd := &cobra.Command{
		Use:   "clock",
		Short: "Tell the time of a server for tests, and move it",
		Long: `Print the time of a server that was started with 'mintmark serve --ephemeral'. Its tokens, signing keys and
stored objects live by that time, which 'mintmark clock advance' moves forward.`,
		Args: subcommandArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return askClock(cmd, s, connect, nil) },
	}
	connect.addTo(cmd)
	cmd.AddCommand(newClockAdvanceCommand(s))
	return cmd
}

func newClockAdvanceCommand(s streams) *cobra.Command {
	connect := &connectionFlags{}
	cmd := &cobra.Command{
		Use:   "advance DURATION",
		Short: "Move the clock of a server for tests forward",
		Long: `Move the clock of a server that was started with 'mintmark serve --ephemeral' forward, and print the new
time. A token whose life has ended by then is refused from the next request on.`,
		Example: `  # A token that lives for an hour has ended now
  mintmark clock advance 1h`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageErrorf(cmd, "say by how much: %s 1h30m", cmd.CommandPath())
			}
			if by, err := time.ParseDuration(args[0]); err != nil || by < 0 {
				return usageErrorf(cmd, "the duration must be one such as 1h30m, and not negative")
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			return askClock(cmd, s, connect, &apiserver.ClockAdvance{Advance: args[0]})
		},
	}
	connect.addTo(cmd)
	return cmd
}

// askClock prints the time, after an advance if one is asked for.
func askClock(cmd *cobra.Command, s streams, connect *connectionFlags, advance *apiserver.ClockAdvance) error {
	client, err := connect.openOwn(cmd, s.err)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(cmd)
	defer cancel()
	var body any
	if advance != nil {
		body = advance
	}
	var at apiserver.ClockTime
	if err := client.test(ctx, apiserver.ClockPath, body, &at); err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.out, at.Now.UTC().Format(time.RFC3339))
	return err
}
