package datadir

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// keyEncryptionKeySize is that of AES-256.
const keyEncryptionKeySize = 32

// KeyEncryptionKey reads the key with which the private keys in the store are encrypted: nil if there is none. The file holds 32
// bytes in base64, as in an EncryptionConfiguration.
func (d *Dir) KeyEncryptionKey() ([]byte, error) {
	text, err := d.read(KeyEncryptionKey)
	if err != nil || text == nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != keyEncryptionKeySize {
		return nil, fmt.Errorf("%s does not hold %d bytes in base64: put it back from a backup of the data directory", d.Path(KeyEncryptionKey), keyEncryptionKeySize)
	}
	return key, nil
}

// MakeKeyEncryptionKey makes that key. When it returns, the file is durable.
func (d *Dir) MakeKeyEncryptionKey() ([]byte, error) {
	key := make([]byte, keyEncryptionKeySize)
	_, _ = rand.Read(key) // never fails
	return key, d.write(KeyEncryptionKey, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), privateMode)
}

// ServerName is a name of the directory, made at the first call, by which servers over one store tell each other apart.
func (d *Dir) ServerName() (string, error) {
	text, err := d.read(serverNameFile)
	if name := string(bytes.TrimSpace(text)); err != nil || name != "" {
		return name, err
	}
	name := rand.Text()
	return name, d.write(serverNameFile, []byte(name+"\n"), privateMode)
}
