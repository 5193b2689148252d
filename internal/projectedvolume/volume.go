package projectedvolume

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// volume is one projected volume of a pod. The goroutine of the pod alone uses it.
type volume struct {
	name   string
	source *corev1.ProjectedVolumeSource
	// tokens are the newest ones, and good is when the first of those in the files ends.
	tokens map[tokenKey]token
	good   instant
	// next is when the volume is to be looked at again, and sweep is when the files that were replaced are to be removed.
	next, sweep instant
	// renew is set until all tokens are new.
	renew    bool
	failures int
	// failure is the text of the failure that was logged last.
	failure string
}

// sweepAfter is how long replaced files stay for readers that are on the way to them.
const sweepAfter = 5 * time.Second

// requestTimeout bounds all that is asked of the server for one look at a volume.
const requestTimeout = 30 * time.Second

// projected are the projected volumes of a pod.
func projected(pod *corev1.Pod) []*corev1.Volume {
	var found []*corev1.Volume
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Projected != nil {
			found = append(found, &pod.Spec.Volumes[i])
		}
	}
	return found
}

// refresh looks at a volume: renews the tokens that are due, and writes the files if anything changed.
func (p *podKeeper) refresh(ctx context.Context, pod *corev1.Pod, v *volume) {
	within, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	written, changed, err := p.write(within, pod, v)
	if ctx.Err() != nil {
		return // the pod changed or is gone, or the agent ends
	}
	now := p.keeper.watch.now()
	if changed {
		v.sweep = now.add(sweepAfter)
	}
	v.schedule(now, err)
	p.report(ctx, v, now, written, err)
}

// write gathers the files of a volume and makes them those in its directory. If a token that is still good can't be renewed, it is
// used on: the files are written, and the failure is returned too.
func (p *podKeeper) write(ctx context.Context, pod *corev1.Pod, v *volume) (written, changed bool, err error) {
	if err := checkVolume(pod, p.name, v); err != nil {
		return false, false, err
	}
	use := &tokensInUse{podKeeper: p, pod: pod, volume: v, good: never, tokens: map[tokenKey]token{}}
	g := &gathering{pod: pod, volume: v.source, owners: ownersOf(pod), set: fileSet{}, objects: p.keeper.objects}
	if err := g.gather(ctx, use.token); err != nil {
		return false, false, errors.Join(use.late, err)
	}
	directory, err := p.open(volumesDirectory, v.name)
	if err != nil {
		return false, false, errors.Join(use.late, err)
	}
	changed, err = write(directory, g.set, g.owners, p.keeper.watch.now().wall)
	if err == nil {
		v.good = use.good
		v.renew = v.renew && use.late != nil
	}
	return err == nil, changed, errors.Join(use.late, err, directory.Close())
}

// checkVolume looks for what will never work before anything is asked for.
func checkVolume(pod *corev1.Pod, directory string, v *volume) error {
	if problems := validation.IsDNS1123Label(v.name); len(problems) > 0 {
		return permanent(fmt.Errorf("a volume can't be called %q: %s", v.name, problems[0]))
	}
	if err := checkDirectoryName(directory); err != nil {
		return err
	}
	return checkSources(pod, v.source)
}

// tokensInUse are the tokens of one look at a volume.
type tokensInUse struct {
	*podKeeper
	pod    *corev1.Pod
	volume *volume
	tokens map[tokenKey]token
	// good is when the first of them ends.
	good instant
	// late is why some are still the old ones.
	late error
}

// token returns the token for a source.
func (u *tokensInUse) token(ctx context.Context, source *corev1.ServiceAccountTokenProjection) (string, error) {
	key := keyOf(source)
	if t, ok := u.tokens[key]; ok {
		return t.value, nil
	}
	t, err := u.renewed(ctx, key)
	if t.value == "" {
		return "", err
	}
	u.late = errors.Join(u.late, err)
	u.tokens[key] = t
	u.good = earlier(u.good, t.end, u.keeper.watch.now())
	return t.value, nil
}

// renewed returns the newest token, and asks for a new one if that is due. If it can't have one it returns an error, and with it the
// newest token if that is still good. A new token is the newest even if it is not written then: it is not asked for twice.
func (u *tokensInUse) renewed(ctx context.Context, key tokenKey) (token, error) {
	now := u.keeper.watch.now()
	old, ok := u.volume.tokens[key]
	if ok && !u.volume.renew && !isDue(old.due, now) {
		return old, nil
	}
	t, err := requestToken(ctx, u.keeper.client, u.pod, key, u.keeper.watch.now)
	countRenewal(err)
	switch {
	case err == nil:
		u.volume.tokens[key] = t
		return t, nil
	case !ok:
		return token{}, err
	case old.end.until(now) > 0:
		return old, err
	}
	return token{}, fmt.Errorf("the token expired and refresh failed: %w", err)
}

// schedule sets when the volume is looked at next.
func (v *volume) schedule(now instant, err error) {
	v.next = never
	if err == nil {
		v.failures = 0
		for _, t := range v.tokens {
			v.next = earlier(v.next, t.due, now)
		}
		return
	}
	v.failures++
	if !isPermanent(err) {
		var left time.Duration
		if v.good != never {
			left = v.good.until(now)
		}
		v.next = now.add(retryIn(v.failures, isSoon(err), left))
	}
}
