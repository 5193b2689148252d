package options

import (
	"errors"
	"fmt"
	"time"

	"github.com/mintmark/mintmark/internal/oauth"
)

// validateOpenShift has the words of OpenShift's oauth-apiserver.
func (o *Options) validateOpenShift() []error {
	var errs []error
	const shortest = int64(oauth.MinIdleWindow / time.Second)
	if seconds := int64(o.config.IdleWindow / time.Second); seconds < 0 || seconds > 0 && seconds < shortest {
		errs = append(errs, fmt.Errorf("accesstoken-inactivity-timeout must either be 0 or greater than %d", shortest))
	}
	if o.config.IdleWindow != 0 && !o.config.OpenShift {
		errs = append(errs, errors.New("--accesstoken-inactivity-timeout is about access tokens of OpenShift, which are not served: give --openshift-api, too, or leave it out"))
	}
	return errs
}
