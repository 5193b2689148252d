package main

import (
	"fmt"
	"io"
)

// conformanceResult is the result of a check as it is printed.
type conformanceResult struct {
	Name        string `json:"name"`
	Requirement string `json:"requirement"`
	// Error says what the other program did instead, and Remedy how to mend it.
	Error   string `json:"error,omitempty"`
	Remedy  string `json:"remedy,omitempty"`
	Skipped string `json:"skipped,omitempty"`
}

// conformanceReport is the results of all checks.
type conformanceReport struct {
	Checks  []conformanceResult `json:"checks"`
	Passed  int                 `json:"passed"`
	Failed  int                 `json:"failed"`
	Skipped int                 `json:"skipped"`
}

// add counts a result, and returns the word for it.
func (r *conformanceReport) add(result conformanceResult) string {
	r.Checks = append(r.Checks, result)
	switch {
	case result.Error != "":
		r.Failed++
		return "FAILED "
	case result.Skipped != "":
		r.Skipped++
		return "skipped"
	}
	r.Passed++
	return "passed "
}

// tell counts a result and prints it for a person.
func (r *conformanceReport) tell(w io.Writer, result conformanceResult) error {
	if _, err := fmt.Fprintf(w, "%s  %-29s  %s\n", r.add(result), result.Name, result.Requirement); err != nil {
		return err
	}
	for _, detail := range []string{result.Error, result.Remedy, result.Skipped} {
		if detail == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "         %s\n", plain(detail)); err != nil {
			return err
		}
	}
	return nil
}

// end prints how many checks passed, for a person.
func (r *conformanceReport) end(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "\n%d passed, %d failed, %d skipped\n", r.Passed, r.Failed, r.Skipped); err != nil {
		return err
	}
	return r.verdict()
}

// verdict is the exit code.
func (r *conformanceReport) verdict() error {
	if r.Failed > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}
