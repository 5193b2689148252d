package options

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/sets"
)

const nodeRestriction = "NodeRestriction"

// alwaysOn are the admission plugins that no flag turns off.
var alwaysOn = []string{"NamespaceLifecycle", "CertificateApproval", "CertificateSigning", "CertificateSubjectRestriction"}

// admissionFlags hold the flags for admission, which are kube-apiserver's.
type admissionFlags struct{ enabled, disabled []string }

func (f *admissionFlags) add(fs *pflag.FlagSet) {
	fs.StringSliceVar(&f.enabled, "enable-admission-plugins", f.enabled,
		"Admission plugins to turn on. All that there are are on by default: "+strings.Join(alwaysOn, ", ")+", and "+nodeRestriction+", which holds nodes to their own pods.")
	fs.StringSliceVar(&f.disabled, "disable-admission-plugins", f.disabled,
		"Admission plugins to turn off, even though they are on by default. Only "+nodeRestriction+" can be turned off.")
}

// nodeRestriction reports whether the plugin of that name is on.
func (f *admissionFlags) nodeRestriction() (bool, error) {
	var errs []error
	for _, name := range f.enabled {
		if name != nodeRestriction && !slices.Contains(alwaysOn, name) {
			errs = append(errs, unknownPlugin("enable-admission-plugins", name))
		}
	}
	if both := sets.New(f.enabled...).Intersection(sets.New(f.disabled...)); len(both) > 0 {
		errs = append(errs, fmt.Errorf("%v in enable-admission-plugins and disable-admission-plugins overlapped", sets.List(both)))
	}
	for _, name := range f.disabled {
		switch {
		case slices.Contains(alwaysOn, name):
			errs = append(errs, fmt.Errorf("disable-admission-plugins plugin %q can't be turned off: take it out of the list", name))
		case name != nodeRestriction:
			errs = append(errs, unknownPlugin("disable-admission-plugins", name))
		}
	}
	return !slices.Contains(f.disabled, nodeRestriction), errors.Join(errs...)
}

func unknownPlugin(flag, name string) error {
	return fmt.Errorf("%s plugin %q is unknown: the plugins are %s and %s", flag, name, strings.Join(alwaysOn, ", "), nodeRestriction)
}
