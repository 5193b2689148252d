package livecheck

import (
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

// usualQuestion is a length within which a token and its audiences usually are.
const usualQuestion = 2 << 10

// of returns the key of a question: of the target, the token and the audiences in their order, each with its length.
func (k *hashKey) of(target uint64, token string, audiences authenticator.Audiences) cache.Key {
	var stack [usualQuestion]byte
	text := append(stack[:0], k[:]...)
	text = binary.BigEndian.AppendUint64(text, target)
	text = append(binary.BigEndian.AppendUint64(text, uint64(len(token))), token...)
	for _, audience := range audiences {
		text = append(binary.BigEndian.AppendUint64(text, uint64(len(audience))), audience...)
	}
	return sha256.Sum256(text)
}
