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
	// priceRounds and priceCalls are how often an operation is done: the median of rounds of so many by each processor.
	priceRounds, priceCalls = 11, 400
	// signedSize is as much as is signed in a service account token.
	signedSize = 640
)

// prices is what the arithmetic of one token costs on this machine.
type prices struct{ verification, signature time.Duration }

// measurePrices measures them with all processors at work, as they are under load: two that share a core are slower
// then.
func measurePrices() (prices, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return prices{}, err
	}
	signed := strings.Repeat("x", signedSize)
	signature, err := signES256(key, signed)
	if err != nil {
		return prices{}, err
	}
	var p prices
	p.signature, err = price(func() bool {
		_, err := signES256(key, signed)
		return err == nil
	})
	if err != nil {
		return prices{}, err
	}
	p.verification, err = price(func() bool {
		digest := sha256.Sum256([]byte(signed))
		r, s := new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:])
		return ecdsa.Verify(&key.PublicKey, digest[:], r, s)
	})
	return p, err
}

// price is the CPU that a call takes.
func price(call func() bool) (time.Duration, error) {
	processors := runtime.GOMAXPROCS(0)
	var each []float64
	for range priceRounds {
		before, err := ownTime()
		if err != nil {
			return 0, err
		}
		good := make([]int, processors)
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
		each = append(each, float64(after-before)/float64(priceCalls*processors))
	}
	return time.Duration(median(each)), nil
}

// ownTime is the CPU that this process has used so far, finer than /proc tells it.
func ownTime() (time.Duration, error) {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, err
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}
