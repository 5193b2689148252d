package audittrail

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at is a minute of the day on which all of these events happen.
func at(minute int) string {
	return time.Date(2026, 5, 4, 0, minute, 0, 0, time.UTC).Format("2006-01-02T15:04:05.000000Z")
}

// line is an event of a minute, in the words of a server. The rest begins with a comma.
func line(minute int, user, verb, uri string, code int, rest string) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"id-%d","stage":"ResponseComplete","requestURI":%q,"verb":%q,`+
		`"user":{"username":%q%s},"sourceIPs":["10.0.0.1"],"responseStatus":{"code":%d},"requestReceivedTimestamp":%q,"stageTimestamp":%q`,
		minute, uri, verb, user, "", code, at(minute), at(minute)) + rest + "}\n"
}

// issuing is the event of a TokenRequest.
func issuing(minute int, by, account, jti string) string {
	namespace, name, _ := strings.Cut(account, "/")
	return line(minute, by, "create", "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+name+"/token", 201,
		`,"objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"`+namespace+`","name":"`+name+`"},`+
			`"annotations":{"authentication.kubernetes.io/issued-credential-id":"JTI=`+jti+`","authentication.mintmark.io/service-account":"`+account+`",`+
			`"authentication.mintmark.io/key-id":"k-`+namespace+`","authentication.mintmark.io/audiences":"[\"vault\"]"}`)
}

// using is the event of a request with a token.
func using(minute int, user, jti string) string {
	text := line(minute, user, "get", "/api", 200, "")
	return strings.Replace(text, `"username":"`+user+`"`, `"username":"`+user+`","extra":{"authentication.kubernetes.io/credential-id":["JTI=`+jti+`"]}`, 1)
}

// reviewing is the event of a review.
func reviewing(minute int, jti, verdict, user string) string {
	return line(minute, "vault", "create", "/apis/authentication.k8s.io/v1/tokenreviews", 201, `,"objectRef":{"resource":"tokenreviews"},`+
		`"annotations":{"authentication.mintmark.io/reviewed-credential-id":"JTI=`+jti+`","authentication.mintmark.io/verdict":"`+verdict+`","authentication.mintmark.io/reviewed-user":"`+user+`"}`)
}

// revoking is the event of a revocation.
func revoking(minute int, name, what string) string {
	return line(minute, "sec", "create", "/apis/mintmark.io/v1alpha1/tokenrevocations", 201,
		`,"objectRef":{"resource":"tokenrevocations","apiGroup":"mintmark.io","name":""},"annotations":{"authentication.mintmark.io/revocation":"`+name+`",`+what+`}`)
}

const (
	app    = "system:serviceaccount:ns:app"
	before = `"authentication.mintmark.io/revoked-issued-before":"2026-05-04T00:30:00Z"`
)

// day is a day of two accounts, in disorder.
var day = []string{
	using(5, app, "one"),
	issuing(1, "ann", "ns/app", "one"),
	issuing(2, "bob", "other/app", "two"),
	using(3, "system:serviceaccount:other:app", "two"),
	reviewing(6, "one", "Authenticated", app),
	reviewing(8, "one", "Refused", ""),
	revoking(7, "r1", `"authentication.mintmark.io/revoked-credential-id":"JTI=one"`),
	revoking(9, "r2", `"authentication.mintmark.io/revoked-service-account":"other/app",`+before),
	revoking(10, "r3", `"authentication.mintmark.io/revoked-service-account":"ns/app","authentication.mintmark.io/revoked-issued-before":"2026-05-03T00:00:00Z"`),
	revoking(11, "r4", `"authentication.mintmark.io/revoked-key-id":"k-ns",`+before),
	revoking(12, "r5", before),
	revoking(18, "r6", `"authentication.mintmark.io/revoked-certificate-user":"system:node:vm1",`+before),
	line(13, "sec", "delete", "/apis/mintmark.io/v1alpha1/tokenrevocations/r1", 200, `,"objectRef":{"resource":"tokenrevocations","apiGroup":"mintmark.io","name":"r1"}`),
	line(14, "sec", "delete", "/apis/mintmark.io/v1alpha1/tokenrevocations/r2", 200, `,"objectRef":{"resource":"tokenrevocations","apiGroup":"mintmark.io","name":"r2"}`),
	line(15, "", "get", "/api", 401, `,"annotations":{"authentication.mintmark.io/credential-id":"JTI=one","authentication.mintmark.io/reason":"Revoked"}`),
	line(16, "", "get", "/api", 401, `,"annotations":{"authentication.mintmark.io/credential-id":"JTI=one","authentication.mintmark.io/unavailable":"no store"}`),
	line(17, "ann", "create", "/api/v1/namespaces/ns/serviceaccounts/gone/token", 404, `,"objectRef":{"resource":"serviceaccounts","subresource":"token","namespace":"ns","name":"gone"}`),
	using(18, app, "elsewhere"),
	revoking(21, "r7", `"authentication.mintmark.io/revoked-key-id":"k-ns","authentication.mintmark.io/revoked-issuer":"https://i",`+before),
}

// write writes a file of events.
func write(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	text := []byte(strings.Join(lines, ""))
	if strings.HasSuffix(name, ".gz") {
		var packed bytes.Buffer
		out := gzip.NewWriter(&packed)
		_, err := out.Write(text)
		if err == nil {
			err = out.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		text = packed.Bytes()
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// trace returns what happened in which minute.
func trace(t *testing.T, selection *Selection, standard io.Reader, names ...string) ([]string, *Report) {
	t.Helper()
	logs, err := Open(names, standard)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	var all []string
	report, err := Trace(t.Context(), logs, selection, func(e *Entry) error {
		all = append(all, strings.TrimSpace(fmt.Sprint(e.Time.Minute(), " ", e.Kind, " ", e.Verdict)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if report.Entries != len(all) {
		t.Errorf("%d entries are reported", report.Entries)
	}
	return all, report
}

var lifeOfOne = []string{
	"1 Requested", "5 Used Authenticated", "6 Reviewed Authenticated", "7 Revoked", "8 Reviewed Refused", "11 Revoked", "12 Revoked", "13 Restored",
	"15 Used Refused", "16 Used Undecided",
}

func one(t *testing.T) *Selection {
	t.Helper()
	c, err := ParseCredential("JTI=one")
	if err != nil {
		t.Fatal(err)
	}
	return &Selection{Credential: c}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	file := write(t, "audit.log", day...)
	for name, test := range map[string]struct {
		selection Selection
		want      []string
	}{
		"credential":   {*one(t), lifeOfOne},
		"account":      {Selection{ServiceAccount: "ns/app"}, slices.Insert(slices.Clone(lifeOfOne), len(lifeOfOne), "18 Used Authenticated")},
		"requester":    {Selection{RequestedBy: "ann"}, slices.Insert(slices.Clone(lifeOfOne), len(lifeOfOne), "17 Requested")},
		"key":          {Selection{KeyID: "k-ns"}, append(slices.Clone(lifeOfOne), "21 Revoked")},
		"other":        {Selection{RequestedBy: "bob"}, []string{"2 Requested", "3 Used Authenticated", "9 Revoked", "12 Revoked", "14 Restored"}},
		"none":         {Selection{KeyID: "k"}, []string{"12 Revoked"}},
		"within times": {Selection{ServiceAccount: "ns/app", Since: time.Date(2026, 5, 4, 0, 5, 0, 0, time.UTC), Until: time.Date(2026, 5, 4, 0, 8, 0, 0, time.UTC)}, lifeOfOne[1:4]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, _ := trace(t, &test.selection, nil, file)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTraceSources spreads the events over files of all kinds.
func TestTraceSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain, packed, standard := write(t, "audit.log", day[:5]...), write(t, "audit.log.gz", day[5:10]...), strings.Join(day[10:], "")
	for i, from := range []string{plain, packed, plain} {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("audit-%d.log", i)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	got, report := trace(t, one(t), strings.NewReader(standard), filepath.Join(dir, "audit-*.log"), filepath.Join(dir, "audit-0.log"), Standard)
	if diff := cmp.Diff(lifeOfOne, got); diff != "" {
		t.Error(diff)
	}
	// One file holds the events of another again.
	if want := (Report{Counts: Counts{Lines: int64(len(day) + 5)}, Files: 4, Entries: len(lifeOfOne)}); !cmp.Equal(&want, report) {
		t.Error(cmp.Diff(&want, report))
	}
}

// TestTraceBadLines: whatever else is in a log, the events are found, and all else is counted.
func TestTraceBadLines(t *testing.T) {
	t.Parallel()
	torn := day[0][:len(day[0])/2]
	long := line(20, strings.Repeat("x", 10<<20), "get", "/api", 200, "")
	tooLong := strings.Repeat("JTI=one", MaxLine/7+1) + "\n"
	lines := slices.Concat([]string{torn, day[0], "\x00\xff\xfeJTI=one\n", "\n", "2026-05-04 AUDIT: id=\"JTI=one\"\n", long, tooLong, "{}\n", `{"kind":"EventList","items":["JTI=one"]}` + "\n"},
		day[1:], []string{torn})
	got, report := trace(t, one(t), nil, write(t, "audit.log", lines...), write(t, "audit.gz", tooLong, long))
	if diff := cmp.Diff(lifeOfOne, got); diff != "" {
		t.Error(diff)
	}
	if want := (Counts{Lines: int64(len(day) + 9), Skipped: 5, TooLong: 2}); report.Counts != want {
		t.Errorf("%+v, want %+v", report.Counts, want)
	}
}

// TestTraceDamaged: a compressed file that ends early is read as far as it goes, and the report says so.
func TestTraceDamaged(t *testing.T) {
	t.Parallel()
	var noise []string
	for i := range 2000 {
		noise = append(noise, line(i%60, fmt.Sprintf("%x", i*i*i), "get", "/api", 200, ""))
	}
	packed := write(t, "audit.gz", slices.Concat(day, noise)...)
	text, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(packed, text[:len(text)-len(text)/4], 0o600); err != nil {
		t.Fatal(err)
	}
	got, report := trace(t, one(t), nil, packed)
	if !cmp.Equal(lifeOfOne, got) || len(report.Problems) != 1 || !strings.Contains(report.Problems[0], "audit.gz could not be read to its end") {
		t.Errorf("%v %v", got, report)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, want := range map[string]string{
		filepath.Join(dir, "none.log"): "there is no file", filepath.Join(dir, "*.log"): "no file matches", dir: "is a directory", "[": "is no pattern",
	} {
		if logs, err := Open([]string{name}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v", name, logs, err)
		}
	}
	if _, err := Open([]string{Standard, Standard}, strings.NewReader("")); err == nil {
		t.Error("standard input was read twice")
	}
}

func TestTraceStops(t *testing.T) {
	t.Parallel()
	logs, err := Open([]string{write(t, "audit.log", day...)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if report, err := Trace(ctx, logs, one(t), func(*Entry) error { return nil }); err == nil {
		t.Errorf("%v", report)
	}
	logs, err = Open([]string{Standard}, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Trace(t.Context(), logs, &Selection{KeyID: "k"}, nil); err != ErrReadTwice { //nolint:errorlint // it is not wrapped
		t.Error(err)
	}
}
