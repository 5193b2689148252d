// Package identity provides what all servers over one store share: the certificate authorities, the issuer, the roots by which
// clients know the servers, and private keys. All of it is in the store; private parts are encrypted.
package identity

import mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"

// mintmarkGroup is the part of the keys in the store below which the identity is.
const mintmarkGroup = mintmarkv1alpha1.GroupName
