# The checks themselves are in .ci/run, which needs no make; here they only have short names.

.DEFAULT_GOAL := help
.PHONY: help build install release test conformance bench faults lint fmt generate tidy vuln kubectl ci clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/mintmark, static and stripped
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/mintmark ./cmd/mintmark

install: ## mintmark where go install puts it
	CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' ./cmd/mintmark

release: ## dist: what a tag publishes, for all platforms
	rm -rf dist
	go -C tools/release run . -out ../../dist

test: ## all tests, with the race detector
	.ci/run race

conformance: ## replay the answers of a real kube-apiserver
	go test ./internal/conformance/...

# docs/performance.md says how it is measured. ARGS=size measures the cost of stored objects.
ARGS = --write docs/performance.md

bench: ## measure what requests cost, and write docs/performance.md
	go build -o bin/bench ./internal/bench
	bin/bench $(ARGS)

# FAULTS are flags of the program, such as "-seed 7 -for 1m".
FAULTS = -for 10m

faults: ## inject faults into real servers over real etcd members, for ten minutes
	CGO_ENABLED=0 go build -o bin/mintmark ./cmd/mintmark
	go build -o bin/faults ./faults
	bin/faults -binary bin/mintmark $(FAULTS)

lint: ## formatting and every linter, go vet among them
	.ci/run format lint

fmt: ## format the Go files
	go tool -modfile=tools/go.mod gofumpt -w .

generate: ## write the generated files anew
	go generate ./...

tidy: ## tidy all go.mod
	go mod tidy
	go -C tools mod tidy
	go -C tools/kubectl mod tidy
	go -C tools/release mod tidy

vuln: ## known vulnerabilities in called code
	.ci/run vuln

kubectl: ## bin/kubectl, the release that the tests use
	.ci/run kubectl

ci: ## everything that a change must pass
	.ci/run

clean: ## remove bin and dist
	rm -rf bin dist
