package main

import (
	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// kept returns what puts into a spec those parts of a stored one that no flag names; nil without --replace.
func (c *issuerAdd) kept(cmd *cobra.Command) func(spec, stored *v1alpha1.TrustedIssuerSpec) {
	if !c.replace {
		return nil
	}
	changed := cmd.Flags().Changed
	return func(spec, stored *v1alpha1.TrustedIssuerSpec) {
		spec.ClaimValidationRules, spec.UserValidationRules, spec.Algorithms = stored.ClaimValidationRules, stored.UserValidationRules, stored.Algorithms
		if !changed("audience") {
			spec.Audiences, spec.AudienceMatchPolicy = stored.Audiences, stored.AudienceMatchPolicy
		}
		if !changed("tenant-audience") {
			spec.Tenant = stored.Tenant
		}
		if spec.LiveCheck == nil {
			spec.LiveCheck = stored.LiveCheck
		} else if stored.LiveCheck != nil {
			spec.LiveCheck.MaxStaleness, spec.LiveCheck.OnFailure = stored.LiveCheck.MaxStaleness, stored.LiveCheck.OnFailure
		}
		if !changed("prefix") && !changed("kubernetes") && !changed("username-claim") && !changed("groups-claim") {
			spec.Kubernetes, spec.ClaimMappings = stored.Kubernetes, stored.ClaimMappings
		}
	}
}
