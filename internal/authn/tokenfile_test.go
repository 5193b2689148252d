package authn

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"
)

// logged returns what is logged meanwhile.
func logged(t *testing.T, do func()) string {
	t.Helper()
	var text bytes.Buffer
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	restore := klog.CaptureState()
	t.Cleanup(restore.Restore)
	if err := flags.Set("logtostderr", "false"); err != nil {
		t.Fatal(err)
	}
	klog.SetOutput(&text)
	do()
	klog.Flush()
	restore.Restore()
	return text.String()
}

// TestTokenFile: each token gets the user that its line says, and a line that may say something else is refused or told,
// by its number and without the token.
func TestTokenFile(t *testing.T) {
	const first = "secret-1,ann,ann-uid\n"
	ann := &user.DefaultInfo{Name: "ann", UID: "ann-uid"}
	for name, test := range map[string]struct {
		text    string
		want    map[string]*user.DefaultInfo // by token
		refused string
		told    string
	}{
		"plain":                     {text: first, want: map[string]*user.DefaultInfo{"secret-1": ann}},
		"lines end as on Windows":   {text: "secret-1,ann,ann-uid\r\n\r\nsecret-2,ann,ann-uid\r\n", want: map[string]*user.DefaultInfo{"secret-1": ann, "secret-2": ann}},
		"an empty line":             {text: first + "\n\n", want: map[string]*user.DefaultInfo{"secret-1": ann}},
		"no line":                   {text: "", want: nil},
		"groups":                    {text: `secret-1,ann,ann-uid,"dev,ops"`, want: map[string]*user.DefaultInfo{"secret-1": {Name: "ann", UID: "ann-uid", Groups: []string{"dev", "ops"}}}},
		"one group":                 {text: `secret-1,ann,ann-uid,dev`, want: map[string]*user.DefaultInfo{"secret-1": {Name: "ann", UID: "ann-uid", Groups: []string{"dev"}}}},
		"no uid":                    {text: "secret-1,ann,", want: map[string]*user.DefaultInfo{"secret-1": {Name: "ann"}}},
		"a name with an apostrophe": {text: "secret-1,Ann O’Brien,", want: map[string]*user.DefaultInfo{"secret-1": {Name: "Ann O’Brien"}}},
		"cells of a spreadsheet":    {text: `secret-1,ann,ann-uid,"dev,ops",,` + "\n", want: map[string]*user.DefaultInfo{"secret-1": {Name: "ann", UID: "ann-uid", Groups: []string{"dev", "ops"}}}},

		"no token":              {text: first + ",bob,bob-uid\n", want: map[string]*user.DefaultInfo{"secret-1": ann}, told: "line 2 has no token and is skipped"},
		"the same line twice":   {text: first + first, want: map[string]*user.DefaultInfo{"secret-1": ann}, told: "line 2 repeats line 1"},
		"two users of a token":  {text: first + "\nsecret-1,bob,bob-uid\n", refused: "line 3: the token is that of line 1, with another user, uid or groups"},
		"two uids of a token":   {text: first + "secret-1,ann,other\n", refused: "line 2: the token is that of line 1"},
		"no name":               {text: first + "secret-2,,uid\n", refused: "line 2: there is no user name"},
		"a name of white space": {text: first + "secret-2,\" \t\",uid\n", refused: "line 2: there is no user name"},
		"a byte order mark":     {text: "\ufeff" + first, refused: "line 1: the file begins with a byte order mark (UTF-8): save it as UTF-8 without one"},
		"UTF-16":                {text: "\xff\xfes\x00,\x00", refused: "line 1: the file begins with a byte order mark (UTF-16)"},
		"UTF-16, big end first": {text: "\xfe\xff\x00s\x00,", refused: "line 1: the file begins with a byte order mark (UTF-16)"},
		"two files in one":      {text: first + "\ufeffsecret-2,bob,uid\n", refused: "line 2: column 1 has a byte order mark in it"},
		"typographic quotes":    {text: first + "secret-2,bob,uid,“dev,ops”\n", refused: `line 2: column 4 is quoted with other quotes than " (U+0022)`},
		"around one group":      {text: first + "secret-2,bob,uid,„dev“\n", refused: `line 2: column 4 is quoted`},
		"in front of a name":    {text: "secret-2,”bob”,uid\n", refused: `line 1: column 2 is quoted`},
		"guillemets":            {text: "secret-2,bob,uid,«dev»\n", refused: `line 1: column 4 is quoted`},
		"single quotes":         {text: "secret-2,bob,uid,'dev,ops'\n", refused: `line 1: column 4 is quoted`},
		"unquoted groups":       {text: first + "secret-2,bob,uid,dev,ops\n", refused: `line 2: there are 5 columns and at most 4 have a meaning: several groups need quotes around all of them, as in "group1,group2"`},
		"too few columns":       {text: first + "secret-2,bob\n", refused: "must have at least 3 columns (token, user name, user uid), found 2 in line 2"},
		"another separator":     {text: "secret-2;bob;uid\n", refused: "must have at least 3 columns (token, user name, user uid), found 1 in line 1"},
		"a line of blanks":      {text: first + "   \n", refused: "must have at least 3 columns (token, user name, user uid), found 1 in line 2"},
		"a quote in a token":    {text: first + "secret-2\",bob,uid\n", refused: `parse error on line 2, column 9: bare " in non-quoted-field`},
		"a quote that is open":  {text: first + "secret-2,bob,uid,\"dev\n", refused: `line 2`},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tokens.csv")
			if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			log := logged(t, func() {
				static, err := readTokenFile(file)
				if test.refused != "" {
					if err == nil || !strings.Contains(err.Error(), test.refused) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "secret") {
						t.Errorf("%v, want %s", err, test.refused)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				for token, want := range test.want {
					response, ok, err := static.AuthenticateToken(t.Context(), token)
					if !ok || err != nil {
						t.Fatal(ok, err)
					}
					if diff := cmp.Diff(want, response.User); diff != "" {
						t.Error(diff)
					}
				}
			})
			if (test.told == "") != (log == "") || !strings.Contains(log, test.told) || strings.Contains(log, "secret") {
				t.Errorf("told %q, want %q", log, test.told)
			}
		})
	}
}
