package options

import (
	"errors"
	"time"
)

// minIdleWindow is the shortest time, in seconds, for which access tokens may go unused.
const minIdleWindow = 300

// validateOpenShift has the words of OpenShift's oauth-apiserver.
func (o *Options) validateOpenShift() []error {
	var errs []error
	if seconds := int64(o.config.IdleWindow / time.Second); seconds < 0 || seconds > 0 && seconds < minIdleWindow {
		errs = append(errs, errors.New("accesstoken-inactivity-timeout must either be 0 or greater than 300"))
	}
	if o.config.IdleWindow != 0 && !o.config.OpenShift {
		errs = append(errs, errors.New("--accesstoken-inactivity-timeout is about access tokens of OpenShift, which are not served: give --openshift-api, too, or leave it out"))
	}
	return errs
}
