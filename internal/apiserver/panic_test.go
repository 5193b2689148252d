package apiserver

import (
	"bytes"
	"context"
	"flag"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	auditlog "k8s.io/apiserver/plugin/pkg/audit/log"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/view"
)

// panickingAt panics with a secret in one part of the chain.
type panickingAt string

const panicSecret = "a-token-that-nobody-may-see"

func (p panickingAt) reach(part string) {
	if string(p) == part {
		panic(panicSecret)
	}
}

func (p panickingAt) AuthenticateRequest(*http.Request) (*authenticator.Response, bool, error) {
	p.reach("authenticator")
	return &authenticator.Response{User: &user.DefaultInfo{Name: "alice"}}, true, nil
}

func (p panickingAt) Authorize(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
	p.reach("authorizer")
	return authorizer.DecisionAllow, "", nil
}

func (p panickingAt) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	p.reach("apis")
	if p == "apis, after the header" {
		w.WriteHeader(http.StatusOK)
		panic(panicSecret)
	}
}

// emptyStore is a store in which nothing was ever stored.
type emptyStore struct{ view.Store }

func (emptyStore) Get(context.Context, string, ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return &clientv3.GetResponse{Header: &etcdserverpb.ResponseHeader{ClusterId: 1, Revision: 1}}, nil
}

// A request that panics is answered, logged and audited, and nowhere is the value of the panic told.
func TestPanicsOfRequests(t *testing.T) {
	for _, part := range []string{"authenticator", "authorizer", "apis", "apis, after the header"} {
		t.Run(part, func(t *testing.T) {
			var audited, logged bytes.Buffer
			logs(t, &logged)
			crash.Contain()
			c := genericapiserver.NewConfig(scheme.Codecs)
			c.Authentication.Authenticator = panickingAt(part)
			c.AuditBackend = crash.Audited{Backend: auditlog.NewBackend(&audited, auditlog.FormatJson, auditv1.SchemeGroupVersion)}
			c.AuditPolicyRuleEvaluator = policy.NewFakePolicyRuleEvaluator(auditapi.LevelMetadata, nil)
			c.RequestInfoResolver = genericapiserver.NewRequestInfoResolver(c)
			c.FeatureGate, c.SecureServing = utilfeature.DefaultFeatureGate, &genericapiserver.SecureServingInfo{}
			ready := make(chan struct{})
			close(ready)
			views := view.NewSet(emptyStore{}, 0)
			go views.Run(t.Context())
			handler := transports{
				inFlight: newInFlight(c, nil), authorizer: &authz.Authorizer{AuthorizerFunc: panickingAt(part).Authorize}, ready: ready,
				views: views, watchEnd: newWatchEnd(genericoptions.NewServerRunOptions(), c.LongRunningFunc, revocation.NewSet(), nil),
			}.chain(panickingAt(part), c)
			server := httptest.NewUnstartedServer(handler)
			server.Config.ErrorLog = log.New(&logged, "", 0)
			server.Start()
			client := server.Client()
			client.Timeout = time.Minute
			response, err := client.Get(server.URL + "/api/v1/namespaces/default/secrets")
			if err == nil {
				_ = response.Body.Close()
			}
			server.Close()
			klog.Flush()
			if strings.HasPrefix(part, "apis,") {
				if err != nil {
					t.Errorf("answer: %v", err)
				}
			} else if err != nil || response.StatusCode != http.StatusInternalServerError {
				t.Errorf("answer: %v %v", response, err)
			}
			for name, text := range map[string]string{"log": logged.String(), "audit record": audited.String()} {
				if strings.Contains(text, panicSecret) {
					t.Errorf("the value of the panic is in the %s", name)
				}
			}
			if !strings.Contains(logged.String(), "Observed a panic") || !strings.Contains(logged.String(), "panickingAt") {
				t.Errorf("no stack is logged:\n%s", logged.String())
			}
			if part != "authenticator" && !strings.Contains(audited.String(), `"stage":"Panic"`) {
				t.Errorf("audited: %s", audited.String())
			}
		})
	}
}

// logs has the process log into a buffer until the test ends.
func logs(t *testing.T, into *bytes.Buffer) {
	t.Helper()
	state := klog.CaptureState()
	t.Cleanup(state.Restore)
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(flags)
	if err := flags.Parse([]string{"-logtostderr=false", "-stderrthreshold=FATAL", "-legacy_stderr_threshold_behavior=false"}); err != nil {
		t.Fatal(err)
	}
	klog.SetOutput(into)
}
