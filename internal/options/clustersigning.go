package options

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/mintmark/mintmark/internal/apiserver"
)

// defaultCertificateLife is a year, as in kube-controller-manager.
const defaultCertificateLife = 365 * 24 * time.Hour

func addClusterSigningFlags(s *apiserver.ClusterSigning, fs *pflag.FlagSet) {
	fs.StringVar(&s.CertFile, "cluster-signing-cert-file", s.CertFile,
		"PEM file of the certificate of the authority that signs certificates for CertificateSigningRequests. It is read again when it changes; while it or the key can't be used, the authority that was read before holds on. Default: the servers' own authority, which is accepted for clients. Give another one to --client-ca-file, too.")
	fs.StringVar(&s.KeyFile, "cluster-signing-key-file", s.KeyFile,
		"PEM file of the private key of --cluster-signing-cert-file.")
	fs.DurationVar(&s.Duration, "cluster-signing-duration", s.Duration,
		"Longest life of these certificates, and the life of those whose request names none. None outlives the authority.")
}

func validateClusterSigning(s *apiserver.ClusterSigning) []error {
	var errs []error
	if (s.CertFile == "") != (s.KeyFile == "") {
		errs = append(errs, errors.New("--cluster-signing-cert-file and --cluster-signing-key-file go together: give both, or neither to have the servers' own authority sign"))
	}
	if s.Duration <= 0 {
		errs = append(errs, errors.New("--cluster-signing-duration must be longer than 0, such as 8760h"))
	}
	return append(errs, checkKeyPair("cluster-signing-cert-file", s.CertFile, "cluster-signing-key-file", s.KeyFile))
}
