package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"math/big"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// priceCalls is how often each processor does an operation for one price of it.
	priceCalls = 300
	// signedSize is as much as is signed in a service account token.
	signedSize = 640
)

// prices holds the time that the arithmetic of one token takes on this machine, one entry for each measurement.
type prices struct{ verifications, signatures []time.Duration }

// measure measures once more, with all processors at work, as they are under load: two that share a core are slower
// then.
func (p *prices) measure() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	signed := strings.Repeat("x", signedSize)
	signature, err := signES256(key, signed)
	if err != nil {
		return err
	}
	signing, err := price(func() bool {
		_, err := signES256(key, signed)
		return err == nil
	})
	if err != nil {
		return err
	}
	verifying, err := price(func() bool {
		digest := sha256.Sum256([]byte(signed))
		r, s := new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:])
		return ecdsa.Verify(&key.PublicKey, digest[:], r, s)
	})
	p.signatures, p.verifications = append(p.signatures, signing), append(p.verifications, verifying)
	return err
}

// price is the CPU that a call takes.
func price(call func() bool) (time.Duration, error) {
	good := make([]int, runtime.GOMAXPROCS(0))
	before, err := ownTime()
	if err != nil {
		return 0, err
	}
	var running sync.WaitGroup
	for i := range good {
		running.Go(func() {
			for range priceCalls {
				if call() {
					good[i]++
				}
			}
		})
	}
	running.Wait()
	after, err := ownTime()
	if err != nil {
		return 0, err
	}
	for _, n := range good {
		if n != priceCalls {
			return 0, errors.New("an ES256 signature was not made, or not found good")
		}
	}
	return (after - before) / time.Duration(priceCalls*len(good)), nil
}

// ownTime is the CPU that this process has used so far, finer than /proc tells it.
func ownTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
