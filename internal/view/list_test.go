package view

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
)

// listOf is a list of objects, as the reflector gets it.
func listOf(i *View[string], objects ...runtime.Object) []any {
	var list []any
	for _, obj := range objects {
		item, err := i.shorten(obj, i.handled())
		if err != nil {
			panic(err)
		}
		list = append(list, item)
	}
	return list
}

// TestListsAreShort: objects are listed as a whole only for handlers, and one that comes in between is not passed over.
func TestListsAreShort(t *testing.T) {
	view := New(corev1.Resource("secrets"), false, func(obj runtime.Object) string { return obj.(*corev1.Secret).Name })
	page := &corev1.SecretList{Items: make([]corev1.Secret, 3)}
	page.ResourceVersion, page.Continue = "7", "more"
	for n := range page.Items {
		page.Items[n].Namespace, page.Items[n].Name, page.Items[n].ResourceVersion = "ns", fmt.Sprint("s", n), strconv.Itoa(n+1)
	}
	list := func() []any {
		short, err := (*lister[string])(view).shorten(page)
		if err != nil {
			t.Fatal(err)
		}
		accessor, err := meta.ListAccessor(short)
		if err != nil || accessor.GetResourceVersion() != "7" || accessor.GetContinue() != "more" {
			t.Errorf("the head of the list is %v, %v", accessor, err)
		}
		items, err := meta.ExtractListWithAlloc(short)
		if err != nil {
			t.Fatal(err)
		}
		var list []any
		for _, item := range items {
			list = append(list, item)
		}
		return list
	}
	early := list()
	for _, item := range early {
		if item.(*listed[string]).whole != nil {
			t.Error("an object is kept that nobody wants")
		}
	}
	told := map[Key]string{}
	view.OnChange(func(key Key, obj runtime.Object) { told[key] = obj.(*corev1.Secret).Name })
	f := (*feed[string])(view)
	if err := f.Replace(early, "7"); !errors.Is(err, errHandlerCame) || len(told) > 0 {
		t.Errorf("error %v, and the handler was told of %v", err, told)
	}
	if err := f.Replace(list(), "7"); err != nil || len(told) != 3 {
		t.Errorf("error %v, and the handler was told of %v", err, told)
	}
	for n := range 3 {
		name := fmt.Sprint("s", n)
		if got, ok := view.Get("ns", name); !ok || got != name || told[Key{"ns", name}] != name {
			t.Errorf("%s is known as %q", name, got)
		}
	}
}
