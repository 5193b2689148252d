package signingkey_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// noon is the instant from which the tests count.
var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// at returns the instant so many minutes after noon.
func at(minutes int) *metav1.Time {
	t := metav1.NewTime(noon.Add(time.Duration(minutes) * time.Minute))
	return &t
}

// planned is a key that is published at noon.
type planned struct {
	name                 string
	signs, retired, last *metav1.Time
	legacy, hidden       bool
}

func (p planned) object() *v1alpha1.SigningKey {
	algorithm, _, _ := strings.Cut(p.name, "-")
	key := &v1alpha1.SigningKey{ObjectMeta: metav1.ObjectMeta{Name: p.name}}
	key.Spec = v1alpha1.SigningKeySpec{
		Algorithm: strings.ToUpper(algorithm), KeyID: "id of " + p.name, PublishedFrom: at(0), SignsFrom: p.signs, RetiredFrom: p.retired, Hidden: p.hidden,
	}
	key.Status = v1alpha1.SigningKeyStatus{TokensUntil: p.last, LegacyTokens: p.legacy}
	return key
}

// The states of keys over time, as letters: prepared, active, retired, gone. A digit is a minute after noon at which the
// letters behind it hold, one for each key.
func TestPlan(t *testing.T) {
	first := planned{name: "es256-1", signs: at(0), last: at(30)}
	for name, test := range map[string]struct {
		keys []planned
		want string
	}{
		"a key alone":                          {[]planned{first}, "0A 1000A"},
		"a key before its turn":                {[]planned{{name: "es256-1", signs: at(10)}}, "0P 9P 10A"},
		"a successor":                          {[]planned{first, {name: "es256-2", signs: at(10)}}, "0AP 9AP 10RA 35RA 36GA"},
		"a successor while tokens end earlier": {[]planned{{name: "es256-1", signs: at(0), last: at(1)}, {name: "es256-2", signs: at(10)}}, "9AP 10RA 15RA 16GA"},
		"a successor of a key without tokens":  {[]planned{{name: "es256-1", signs: at(0)}, {name: "es256-2", signs: at(10)}}, "15RA 16GA"},
		"a successor while a secret holds one": {[]planned{{name: "es256-1", signs: at(0), last: at(30), legacy: true}, {name: "es256-2", signs: at(10)}}, "10RA 1000RA"},
		"three":                                {[]planned{first, {name: "es256-2", signs: at(10), last: at(50)}, {name: "es256-3", signs: at(40)}}, "0APP 10RAP 36GAP 40GRA 56GGA"},
		"a key of another algorithm":           {[]planned{first, {name: "rs256-1", signs: at(10)}}, "0AP 10AA 100AA"},
		"retired without a successor":          {[]planned{{name: "es256-1", signs: at(0), retired: at(10), last: at(30)}}, "9A 10R 35R 36G"},
		"retired after its successor":          {[]planned{{name: "es256-1", signs: at(0), retired: at(20), last: at(30)}, {name: "es256-2", signs: at(10)}}, "9AP 10RA 20RA 36GA"},
		"a successor that retires":             {[]planned{first, {name: "es256-2", signs: at(10), retired: at(20), last: at(90)}}, "9AP 10RA 20RR 36GR 96GG"},
		"a successor that never signs":         {[]planned{first, {name: "es256-2", signs: at(10), retired: at(10)}}, "0AR 10AR 15AR 16AG"},
		"retired before its turn":              {[]planned{first, {name: "es256-2", signs: at(10), retired: at(5), last: at(8)}}, "4AR 5AR 13AR 14AG"},
		"a key that only verifies":             {[]planned{first, {name: "es256-2", last: at(60)}}, "0AR 65AR 66AG"},
		"a hidden key":                         {[]planned{{name: "es256-1", signs: at(10), hidden: true}}, "0P 10A"},
		"two turns at once":                    {[]planned{{name: "es256-9", signs: at(10)}, {name: "es256-10", signs: at(10)}}, "9PP 10RA 15RA 16GA"},
	} {
		t.Run(name, func(t *testing.T) {
			var keys []*v1alpha1.SigningKey
			for _, key := range test.keys {
				keys = append(keys, key.object())
			}
			for want := range strings.FieldsSeq(test.want) {
				var minutes int
				var states string
				if _, err := fmt.Sscanf(want, "%d%s", &minutes, &states); err != nil {
					t.Fatal(err)
				}
				schedule := signingkey.Plan(keys, at(minutes).Time)
				var got strings.Builder
				for _, key := range keys {
					got.WriteString(string(schedule.ByKeyID(key.Spec.KeyID).State[:1]))
				}
				if got.String() != states {
					t.Errorf("after %d minutes: %s, want %s", minutes, got.String(), states)
				}
			}
		})
	}
}

// Between an instant and the next change that the plan of that instant names, no state changes; at that change one does.
func TestPlanNext(t *testing.T) {
	keys := []*v1alpha1.SigningKey{
		planned{name: "es256-1", signs: at(0), last: at(30)}.object(),
		planned{name: "es256-2", signs: at(10), last: at(50)}.object(),
		planned{name: "es256-3", signs: at(40)}.object(),
		planned{name: "rs256-1", signs: at(20), retired: at(25)}.object(),
		planned{name: "rs256-2", last: at(3)}.object(),
	}
	states := func(s signingkey.Schedule) string {
		var all strings.Builder
		for _, key := range s.Keys {
			all.WriteString(string(key.State[:1]))
		}
		return all.String()
	}
	var changes []string
	schedule := signingkey.Plan(keys, noon)
	for now := noon; now.Before(at(120).Time); now = now.Add(10 * time.Second) {
		at := signingkey.Plan(keys, now)
		if changed, due := states(at) != states(schedule), !schedule.Next.IsZero() && !now.Before(schedule.Next); changed != due {
			t.Fatalf("%s: states %s after %s, with the next change at %s", now.Format(time.TimeOnly), states(at), states(schedule), schedule.Next.Format(time.TimeOnly))
		} else if changed {
			changes = append(changes, schedule.Next.Format("15:04"))
			schedule = at
		}
	}
	if got, want := strings.Join(changes, " "), "12:09 12:10 12:20 12:25 12:31 12:36 12:40 12:56"; got != want || !schedule.Next.IsZero() {
		t.Errorf("changes at %s, and then at %s; want %s", got, schedule.Next, want)
	}
}

// A turn is never earlier than the lead time after the publication, though stored times have no fractions.
func TestPlanKey(t *testing.T) {
	now := noon.Add(700 * time.Millisecond)
	for lead, want := range map[time.Duration]time.Time{
		0: noon, time.Second: noon.Add(2 * time.Second), 1500 * time.Millisecond: noon.Add(3 * time.Second), time.Hour: noon.Add(time.Hour + time.Second),
	} {
		key := &v1alpha1.SigningKey{}
		signingkey.PlanKey(key, now, lead)
		if got := key.Spec.SignsFrom.Time; !got.Equal(want) || !key.Spec.PublishedFrom.Equal(at(0)) {
			t.Errorf("with a lead of %s published at %s, signs at %s, want %s", lead, key.Spec.PublishedFrom, got, want)
		}
	}
}

func TestObjectName(t *testing.T) {
	taken := []*v1alpha1.SigningKey{planned{name: "es256-9"}.object(), planned{name: "es256-10"}.object(), planned{name: "rs256-3"}.object(), planned{name: "mine"}.object()}
	for algorithm, want := range map[string]string{"ES256": "es256-11", "RS256": "rs256-4", "EdDSA": "eddsa-1"} {
		if got := signingkey.ObjectName(algorithm, taken); got != want {
			t.Errorf("the next key for %s is %q, want %q", algorithm, got, want)
		}
	}
}

// A key that is made signs with its algorithm, its object has the public half, and the PEM of both halves reads back.
func TestGenerate(t *testing.T) {
	for _, algorithm := range []string{"ES256", "ES384", "ES512", "RS256", "EdDSA"} {
		private, err := signingkey.Generate(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		object, err := signingkey.Describe(private.Public())
		if err != nil || object.Spec.Algorithm != algorithm || object.Spec.PrivateKey != "" {
			t.Fatalf("%s: described as %q, error %v", algorithm, object.Spec.Algorithm, err)
		}
		text, err := signingkey.EncodePrivate(private)
		if err != nil {
			t.Fatal(err)
		}
		read, err := signingkey.ParsePrivate(text, "spec.privateKey")
		if err != nil {
			t.Fatal(err)
		}
		public, err := signingkey.ParsePublic([]byte(object.Spec.PublicKey), "spec.publicKey")
		if err != nil {
			t.Fatal(err)
		}
		for _, half := range []any{read.Public(), public} {
			if id, err := signingkey.KeyID(half); err != nil || id != object.Spec.KeyID {
				t.Errorf("%s: read back with key id %q, error %v", algorithm, id, err)
			}
		}
	}
	if _, err := signingkey.Generate("HS256"); err == nil || !strings.Contains(err.Error(), "must be one of ES256, ES384, ES512, RS256, EdDSA") {
		t.Errorf("HS256: error %v", err)
	}
}
