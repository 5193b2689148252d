package apiserver

import (
	"time"

	"github.com/mintmark/mintmark/internal/registry/mintmark"
)

// keysInFiles is the answer to a request for a key where the keys are those in files.
const keysInFiles = "this server signs with the key in the file of --service-account-signing-key-file, and makes none: put the new key into the files, " +
	"first among those of --service-account-key-file on every replica, and later in place of the one that signs. The server reads them when they change"

// signingKeys is how the API makes signing keys.
func signingKeys(g *ground) mintmark.SigningKeys {
	return mintmark.SigningKeys{PrivateKeys: g.secrets, Elsewhere: keysInFiles, Now: time.Now}
}
