package livecheck

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/cache"
)

// hashKey is a secret of this process, so that callers can't look for tokens that collide.
type hashKey [sha256.Size]byte

func newHashKey() (k hashKey) {
	_, _ = rand.Read(k[:]) // never fails
	return k
}

// of returns the key of a question: of the target, the token and the audiences in their order, each with its length.
func (k *hashKey) of(target uint64, token string, audiences authenticator.Audiences) cache.Key {
	hash := hmac.New(sha256.New, k[:])
	var number [8]byte
	write := func(n uint64, text string) {
		binary.BigEndian.PutUint64(number[:], n)
		_, _ = hash.Write(number[:]) // never fails
		_, _ = hash.Write([]byte(text))
	}
	write(target, "")
	write(uint64(len(token)), token)
	for _, audience := range audiences {
		write(uint64(len(audience)), audience)
	}
	return cache.Key(hash.Sum(nil))
}
