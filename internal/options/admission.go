package options

import (
	"fmt"

	"github.com/spf13/pflag"
)

const (
	namespaceLifecycle = "NamespaceLifecycle"
	nodeRestriction    = "NodeRestriction"
)

func (o *Options) addAdmissionFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.admission, "enable-admission-plugins", o.admission,
		"Admission plugins besides "+namespaceLifecycle+", which is always on: "+nodeRestriction+", which holds nodes to their own pods.")
}

// nodeRestriction reads the list of admission plugins.
func (o *Options) nodeRestriction() (bool, error) {
	enabled := false
	for _, name := range o.admission {
		switch name {
		case namespaceLifecycle:
		case nodeRestriction:
			enabled = true
		default:
			return false, fmt.Errorf("enable-admission-plugins plugin %q is unknown: the plugins are %s and %s", name, namespaceLifecycle, nodeRestriction)
		}
	}
	return enabled, nil
}
