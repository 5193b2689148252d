package apiserver

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
)

// TestLateDocuments: documents are made for the first request, once.
func TestLateDocuments(t *testing.T) {
	t.Parallel()
	var times atomic.Int32
	h := lateDocuments(func() (http.Handler, error) {
		times.Add(1)
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "document") }), nil
	})
	if times.Load() != 0 {
		t.Error("made before the first request")
	}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			answer := httptest.NewRecorder()
			if h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, openAPIV2Path, http.NoBody)); answer.Body.String() != "document" {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
	asking.Wait()
	if n := times.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
	broken := lateDocuments(func() (http.Handler, error) { return nil, errors.New("broken") })
	answer := httptest.NewRecorder()
	if broken.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, openAPIV2Path, http.NoBody)); answer.Code != http.StatusInternalServerError {
		t.Errorf("documents that can't be made: %d", answer.Code)
	}
}
