package outbound

import (
	"context"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// objectClient is a client of calls that an object causes, for a server on loopback. Names are resolved by lookup.
func objectClient(t *testing.T, server *httptest.Server, lookup func() netip.Addr, allowed ...string) *http.Client {
	t.Helper()
	networks, err := ParseNetworks(allowed)
	if err != nil {
		t.Fatal(err)
	}
	calls := NewObjectCalls(networks)
	calls.resolver = resolver(lookup)
	client, err := calls.NewClient(ObjectClient{
		Authorities: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})),
		ServerName:  "example.com", // the certificate's
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// resolver is a resolver that a DNS server in the process answers, every name with the address of the moment.
func resolver(lookup func() netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			for {
				var length [2]byte // DNS over TCP (RFC 1035 section 4.2.2)
				if _, err := io.ReadFull(there, length[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(length[:]))
				if _, err := io.ReadFull(there, query); err != nil {
					return
				}
				answer := dnsAnswer(query, lookup())
				_, _ = there.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			}
		}()
		return here, nil
	}}
}

// dnsAnswer answers a query with an address, if the query asks for its type (RFC 1035 section 4).
func dnsAnswer(query []byte, address netip.Addr) []byte {
	const header = 12
	end := header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 5
	asked, have := binary.BigEndian.Uint16(query[end-4:]), uint16(1)
	if address.Is6() {
		have = 28
	}
	answers := byte(0)
	if asked == have {
		answers = 1
	}
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, answers, 0, 0, 0, 0}, query[header:end]...)
	if answers > 0 {
		answer = append(answer, 0xc0, header, 0, byte(have), 0, 1, 0, 0, 0, 0, 0, byte(address.BitLen()/8))
		answer = append(answer, address.AsSlice()...)
	}
	return answer
}

// TestObjectCalls: a call that an object causes reaches loopback only if a network of --allow-private-issuers holds the address,
// however the address is written.
func TestObjectCalls(t *testing.T) {
	var calls atomic.Int32
	server := serve(t, func(http.ResponseWriter, *http.Request) { calls.Add(1) })
	parsed, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	loopback := func() netip.Addr { return netip.MustParseAddr("127.0.0.1") }
	refusing, allowing := objectClient(t, server, loopback), objectClient(t, server, loopback, "127.0.0.0/8")
	for _, host := range []string{"127.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "issuer.example", "issuer.example.", "0x7f000001", "localhost.example"} {
		at := "https://" + host + ":" + parsed.Port()
		_, _, err := get(t, refusing, at)
		refused, ok := errors.AsType[*RefusedAddress](err)
		if !ok || refused.Kind != "loopback" || calls.Load() > 0 {
			t.Errorf("%s: %v", host, err)
		}
		if _, _, err := get(t, allowing, at); err != nil || calls.Swap(0) != 1 {
			t.Errorf("%s: %v", host, err)
		}
		allowing.CloseIdleConnections()
	}
	// The resolvers of some systems take numbers as addresses, as inet_aton does. Go's does not.
	for _, host := range []string{"2130706433", "017700000001", "127.1", "0177.0.0.1", "127.0.0.1.", "localhost", "localhost.", "127.0.0.1%25lo"} {
		if status, _, err := get(t, refusing, "https://"+host+":"+parsed.Port()); err == nil || calls.Load() > 0 {
			t.Errorf("%s: %d", host, status)
		}
	}
	for at, want := range map[string]string{
		"https://10.1.2.3":         `: the address 10.1.2.3 is private: name it in --allow-private-issuers if it is meant`,
		"https://[fe80::1%25lo]":   `: the address fe80::1%lo is link-local: name it in --allow-private-issuers if it is meant`,
		"https://[::1]:1":          `: the address ::1 is loopback: name it in --allow-private-issuers if it is meant`,
		"https://0.0.0.0:1":        `: the address 0.0.0.0 is unspecified: name it in --allow-private-issuers if it is meant`,
		"https://issuer.example:1": `: the address 127.0.0.1 of issuer.example is loopback: name it in --allow-private-issuers if it is meant`,
		"http://127.0.0.1:1":       `the URL must be https, not "http"`,
	} {
		if _, _, err := get(t, refusing, at); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// TestNameThatMoves: a name whose address was good for one call, and is another one at the next, is checked at each.
func TestNameThatMoves(t *testing.T) {
	var moved atomic.Bool
	server := serve(t, nil)
	server.Config.Handler = http.NotFoundHandler()
	client := objectClient(t, server, func() netip.Addr {
		if moved.Load() {
			return netip.MustParseAddr("127.0.0.2")
		}
		return netip.MustParseAddr("127.0.0.1")
	}, "127.0.0.1/32")
	at := strings.Replace(server.URL, "127.0.0.1", "issuer.example", 1)
	if status, _, err := get(t, client, at); err != nil || status != http.StatusNotFound {
		t.Fatal(status, err)
	}
	client.CloseIdleConnections()
	moved.Store(true)
	if _, _, err := get(t, client, at); err == nil || !strings.Contains(err.Error(), "the address 127.0.0.2 of issuer.example is loopback") {
		t.Error(err)
	}
}

// TestObjectCallsUseNoProxy: the proxies of the environment would reach what the server may not.
func TestObjectCallsUseNoProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	defer proxy.Close()
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, proxy.URL)
	}
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	client := objectClient(t, server, nil, "127.0.0.0/8")
	if transport := client.Transport.(closing).base; transport.Proxy != nil { // the environment is read once in a process
		t.Error("the transport has a proxy")
	}
	if _, _, err := get(t, client, server.URL); err != nil {
		t.Error(err)
	}
}

// TestObjectCallsAreGuarded: no redirect is followed, and no answer read without end.
func TestObjectCallsAreGuarded(t *testing.T) {
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			_, _ = w.Write(make([]byte, maxAnswer+1))
			return
		}
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	})
	client := objectClient(t, server, nil, "127.0.0.0/8")
	if status, _, err := get(t, client, server.URL); err != nil || status != http.StatusFound {
		t.Error(status, err)
	}
	if _, _, err := get(t, client, server.URL+"/long"); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
}

// TestObjectConnections: the connections to one host are few, and a call that waits for one ends with its context.
func TestObjectConnections(t *testing.T) {
	hold, arrived := make(chan struct{}), make(chan struct{}, objectConnections+1)
	server := serve(t, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-hold
	})
	client := objectClient(t, server, nil, "127.0.0.0/8")
	ended := make(chan error, objectConnections+1)
	ctx, cancel := context.WithCancel(t.Context())
	for range objectConnections + 1 {
		go func() {
			request, _ := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, http.NoBody)
			response, err := client.Do(request)
			if err == nil {
				_ = response.Body.Close()
			}
			ended <- err
		}()
	}
	for range objectConnections {
		<-arrived
	}
	cancel()
	for range objectConnections + 1 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if len(arrived) > 0 {
		t.Errorf("more than %d calls at a time", objectConnections)
	}
	close(hold)
}
