package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/internal/testserver"
)

const knownFailures = "testdata/known-failures.yaml"

// TestRecordedAnswers plays every scenario against one server, configured as the answers were recorded.
func TestRecordedAnswers(t *testing.T) {
	known := readKnownFailures(t)
	flags, key := recordedFlags(t)
	server := testserver.Start(t, flags...)
	target := newServerTarget(server)
	target.SigningKey = key
	target.Needs = sets.New(NeedsYoungServer)
	for _, sc := range loadScenarios(t) {
		if _, other := otherServers[sc.Needs]; !other {
			t.Run(sc.Name, func(t *testing.T) { check(t, known, target, sc) })
		}
	}
}

// otherServers holds the flags that differ on the servers that some scenarios need, by need.
var otherServers = map[string][]string{
	NeedsNodeAuthorizer: {"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction"},
	NeedsNoAudiences:    {"--api-audiences="},
	NeedsIdleLimit:      {"--accesstoken-inactivity-timeout=300s"},
}

// TestOtherServers plays the scenarios that need one of these.
func TestOtherServers(t *testing.T) {
	known := readKnownFailures(t)
	for need, others := range otherServers {
		t.Run(need, func(t *testing.T) {
			flags, _ := recordedFlags(t)
			target := newServerTarget(testserver.Start(t, (&Variant{flags: others}).Args(flags)...))
			target.Needs = sets.New(need)
			for _, sc := range loadScenarios(t) {
				if sc.Needs == need {
					t.Run(sc.Name, func(t *testing.T) { check(t, known, target, sc) })
				}
			}
		})
	}
}

// TestVariants plays the scenarios for servers with other flags, one server after the other.
func TestVariants(t *testing.T) {
	known := readKnownFailures(t)
	for _, v := range loadVariants(t) {
		t.Run(v.Name, func(t *testing.T) {
			played := func(sc *Scenario) bool { return known.Skipped(sc.Name) == "" }
			flags, _ := recordedFlags(t)
			args := v.Args(flags)
			if !slices.ContainsFunc(v.Scenarios, played) {
				reason := known.Skipped(v.Scenarios[0].Name)
				if _, err := testserver.Config(t, args...); err == nil {
					t.Errorf("the server takes the flags, so take the variant off the list of skips (%s)", reason)
				}
				t.Skip(reason)
			}
			stop, err := v.StartPeers()
			if errors.Is(err, syscall.EADDRINUSE) {
				t.Skipf("somebody else listens on a port that is written into the configuration: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			target := newServerTarget(testserver.Start(t, args...))
			target.Files = v.Folder
			for _, sc := range v.Scenarios {
				t.Run(filepath.Base(sc.Name), func(t *testing.T) { check(t, known, target, sc) })
			}
		})
	}
}

// The list of known failures names scenarios that exist, each once.
func TestListOfKnownFailures(t *testing.T) {
	if err := readKnownFailures(t).Check(allNames(t)); err != nil {
		t.Error(err)
	}
}

func check(t *testing.T, known *Known, target *Target, sc *Scenario) {
	t.Parallel()
	if reason := known.Skipped(sc.Name); reason != "" {
		t.Skip(reason)
	}
	if !target.Meets(sc) {
		t.Fatalf("needs %s; configure the server so, or list it under skips in %s", sc.Needs, knownFailures)
	}
	reason, err := known.Judge(sc.Name, Play(t.Context(), target, sc))
	if err != nil {
		t.Fatal(err)
	}
	if reason != "" {
		t.Skip("fails, as is known: " + reason)
	}
}

func readKnownFailures(t *testing.T) *Known {
	t.Helper()
	known, err := LoadKnown(knownFailures)
	if err != nil {
		t.Fatal(err)
	}
	return known
}

const (
	adminToken = "admintoken"
	aliceToken = "plaintoken"
)

// recordedFlags returns the flags of a server like the recorded one, which had the default flags of kube-apiserver and no
// controllers, and its signing key.
func recordedFlags(t *testing.T) ([]string, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	keyFile, tokens := filepath.Join(folder, "sa.key"), filepath.Join(folder, "tokens.csv")
	users := adminToken + ",admin,admin-uid,system:masters\n" + aliceToken + ",alice,alice-uid,\"dev,qa\"\nnodetoken,system:node:n1,n1-uid,system:nodes\n"
	if err := errors.Join(os.WriteFile(keyFile, text, 0o600), os.WriteFile(tokens, []byte(users), 0o600)); err != nil {
		t.Fatal(err)
	}
	return []string{
		"--token-auth-file=" + tokens,
		"--controllers=",
		"--service-account-issuer=https://issuer.example",
		"--api-audiences=https://issuer.example",
		"--service-account-signing-key-file=" + keyFile,
		"--service-account-key-file=" + keyFile,
		"--enable-bootstrap-token-auth",
		"--service-account-extend-token-expiration=true",
		"--anonymous-issuer-discovery=false",
		"--openshift-api=true",
	}, key
}

func newServerTarget(server *testserver.Server) *Target {
	return &Target{URL: server.URL, RootCAs: server.RootCAs, AdminToken: adminToken, AliceToken: aliceToken}
}
