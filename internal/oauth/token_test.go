package oauth

import (
	"regexp"
	"testing"
)

func TestObjectName(t *testing.T) {
	for _, test := range []struct{ token, name string }{
		{"sha256~", "sha256~47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"},
		{"sha256~abc", "sha256~ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"},
		{"sha256~q7Lw0vYtXnC3fKjR8sDmHbZ2pEuG5aTi1oVxWyNcQdM", "sha256~AFhhyqsKYX1bVcYEqg48793GbeevxzId6nng-h7SnN8"},
		{"sha256~Jm4RkXwZ0tPqL9sYb2VnHc7UfEaD1oGi6MxTzNyKpQw", "sha256~1toKHTMXx0zpgspxqc2WaHpSzE6RUtAiE5BEB543nkk"},
	} {
		name, ok := ObjectName(test.token)
		if name != test.name || !ok {
			t.Errorf("%s: %q, %t, want %q", test.token, name, ok, test.name)
		}
		if len(name) != ObjectNameLength {
			t.Errorf("%s: the name has %d characters, want %d", test.token, len(name), ObjectNameLength)
		}
		if again, _ := ObjectName(name); again == name {
			t.Errorf("%s: the name of the object is its own token", test.token)
		}
	}
	for _, other := range []string{"", "sha256", "SHA256~abc", " sha256~abc", "abc", "sha512~abc"} {
		if name, ok := ObjectName(other); ok || name != "" {
			t.Errorf("%q: %q, %t, want no name", other, name, ok)
		}
	}
}

func TestNewToken(t *testing.T) {
	form := regexp.MustCompile(`^sha256~[A-Za-z0-9_][A-Za-z0-9_-]{42}$`)
	seen := map[string]bool{}
	// One in 64 would begin with a dash if nothing were done about it.
	for range 2000 {
		token := NewToken()
		if !form.MatchString(token) {
			t.Fatal("a new token is not of the form that clients expect") // and stays unsaid
		}
		if seen[token] {
			t.Fatal("the same token twice")
		}
		seen[token] = true
	}
}

func BenchmarkObjectName(b *testing.B) {
	token := NewToken()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := ObjectName(token); !ok {
			b.Fatal("no name")
		}
	}
}
