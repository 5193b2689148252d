package apiserver_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestConfigIsNotWrittenTo builds two servers, one after the other, from one configuration: what the first has found out,
// such as its port and where its store is, is not in it.
func TestConfigIsNotWrittenTo(t *testing.T) {
	t.Parallel()
	cfg, err := testserver.Config(t, "--controllers=", "--openshift-api", "--authorization-mode=Node,RBAC")
	if err != nil {
		t.Fatal(err)
	}
	before := exported(cfg)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		server, err := apiserver.New(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, exported(cfg)); diff != "" {
			t.Errorf("New has written to its configuration (-before +after):\n%s", diff)
		}
		done := make(chan error, 1)
		go func() { done <- server.Run(ctx) }()
		<-server.Ready()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, exported(cfg)); diff != "" {
			t.Errorf("Run has written to its configuration (-before +after):\n%s", diff)
		}
	}
}

// exported returns a copy of what a value holds in exported fields that are not functions or interfaces, pointers
// followed.
func exported(value any) any {
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return exported(v.Elem().Interface())
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				fields[field.Name] = exported(v.Field(i).Interface())
			}
		}
		return fields
	case reflect.Func, reflect.Chan:
		return v.IsNil()
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = exported(v.Index(i).Interface())
		}
		return list
	case reflect.Map:
		pairs := map[any]any{}
		for key, item := range v.Seq2() {
			pairs[key.Interface()] = exported(item.Interface())
		}
		return pairs
	case reflect.Invalid:
		return nil
	}
	return value
}
