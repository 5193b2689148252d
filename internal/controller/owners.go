package controller

import (
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mintmark/mintmark/internal/view"
)

// owners maps token secrets to their service accounts, even after one of the two is gone.
type owners struct {
	mu       *sync.Mutex
	account  map[view.Key]string
	accounts map[view.Key]sets.Set[string] // the names of the secrets of an account
}

func newOwners() owners {
	return owners{mu: new(sync.Mutex), account: map[view.Key]string{}, accounts: map[view.Key]sets.Set[string]{}}
}

func (o owners) set(secret view.Key, account string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.account[secret] == account {
		return
	}
	o.drop(secret)
	if account == "" {
		return
	}
	o.account[secret] = account
	owner := view.Key{Namespace: secret.Namespace, Name: account}
	if o.accounts[owner] == nil {
		o.accounts[owner] = sets.New[string]()
	}
	o.accounts[owner].Insert(secret.Name)
}

func (o owners) forget(secret view.Key) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(secret)
}

// drop is forget with the lock held.
func (o owners) drop(secret view.Key) {
	owner := view.Key{Namespace: secret.Namespace, Name: o.account[secret]}
	delete(o.account, secret)
	o.accounts[owner].Delete(secret.Name)
	if len(o.accounts[owner]) == 0 {
		delete(o.accounts, owner)
	}
}

func (o owners) of(secret view.Key) (account string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	account, ok = o.account[secret]
	return account, ok
}

func (o owners) secrets(account view.Key) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.accounts[account]))
}
