package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

const signatureNotChecked = "The signature was NOT checked: anyone could have written this token. To have a server check it, use 'mintmark token review'."

func newTokenInspectCommand(s streams) *cobra.Command {
	output := outputFormat{allowed: []string{"json"}}
	cmd := &cobra.Command{
		Use:   "inspect TOKEN|-",
		Short: "Show what is written in a token, without a server and without checking it",
		Long: `Decode the header and the claims of a JWT and say in words when it was issued and when it
expires. No server is asked and the signature is not checked, so nothing of what is shown can
be relied upon: use 'mintmark token review' for that.

With - the token is read from standard input. That is the better way, since other users of
the machine can see a command's arguments. The token itself is never printed, nor its
signature.`,
		Example: `  mintmark token create default | mintmark token inspect -

  # One claim, in a script
  mintmark token inspect - -o json < token | jq -r .claims.sub`,
		Args:              tokenArg,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := readToken(cmd.Context(), cmd, s, args[0])
			if err != nil {
				return err
			}
			decoded, err := decodeJWT(token)
			if err != nil {
				return err
			}
			if output.value == "json" {
				return decoded.writeJSON(s)
			}
			return decoded.write(s, time.Now())
		},
	}
	output.addTo(cmd)
	return cmd
}

func (t *jwt) write(s streams, now time.Time) error {
	header, err := indentJSON(t.header)
	if err != nil {
		return err
	}
	claims, err := indentJSON(t.claims)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s\n%s\n\n", plain(t.describe()), signatureNotChecked)
	for _, line := range t.times(now) {
		fmt.Fprintln(&text, plain(line))
	}
	fmt.Fprintf(&text, "\nHEADER\n%s\n\nCLAIMS\n%s\n", header, claims)
	_, err = s.out.Write(text.Bytes())
	return err
}

func (t *jwt) writeJSON(s streams) error {
	object := bytes.Join([][]byte{[]byte(`{"header":`), t.header, []byte(`,"claims":`), t.claims, []byte(`}`)}, nil)
	indented, err := indentJSON(object)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(s.err, signatureNotChecked); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s\n", indented)
	return err
}
