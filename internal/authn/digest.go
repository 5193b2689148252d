package authn

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"k8s.io/apiserver/pkg/apis/apiserver"
)

// Configuration returns a digest of the configuration of OpenID Connect issuers that is in use. It is the same at all replicas
// that are configured alike.
func (u *Union) Configuration() string { return u.issuers.current.Load().digest }

// digestOf returns the digest of a configuration. The error of one that is no JSON would say nothing: all of its fields are texts.
func digestOf(cfg *apiserver.AuthenticationConfiguration) string {
	data, _ := json.Marshal(cfg)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
