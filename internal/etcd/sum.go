package etcd

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"slices"
)

// errSum says that a snapshot is not what was once written.
var errSum = errors.New("its checksum does not fit: it was cut or changed after it was made, or it is no snapshot of an etcd")

// sumCheck reads a snapshot as etcdctl makes it, the database and the SHA-256 sum of it, and compares the sum.
type sumCheck struct {
	sum  hash.Hash
	tail []byte // the last bytes, which may be the sum
	size int64
}

func newSumCheck() *sumCheck { return &sumCheck{sum: sha256.New()} }

// Write never fails.
func (c *sumCheck) Write(data []byte) (int, error) {
	c.size += int64(len(data))
	c.tail = append(c.tail, data...)
	if over := len(c.tail) - sha256.Size; over > 0 {
		_, _ = c.sum.Write(c.tail[:over]) // never fails
		c.tail = slices.Delete(c.tail, 0, over)
	}
	return len(data), nil
}

// fits fails unless what was written so far ends with the sum of what is before it.
func (c *sumCheck) fits() error {
	if c.size <= sha256.Size || !slices.Equal(c.sum.Sum(nil), c.tail) {
		return errSum
	}
	return nil
}

// checkSum fails unless a file ends with the sum of what is before it.
func checkSum(name string) (size int64, err error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	check := newSumCheck()
	if _, err := io.Copy(check, file); err != nil {
		return 0, err
	}
	return check.size, check.fits()
}
