package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newServeCommand is the server's command line.
func newServeCommand(_ streams) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("this build has no server in it")
		},
	}
}
