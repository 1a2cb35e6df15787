# Shortcuts for developers. The checks that a change must pass are in .ci/run.
.PHONY: build test check generate bench baselines benchstat compare compare-all lint golden size release image

build:     ## the program, as it is shipped
	CGO_ENABLED=0 go build -trimpath -o bin/melo ./cmd/melo

test:      ## every test of the main module
	go test ./...

check:     ## everything that a change must pass
	bash .ci/run

generate:  ## write the kernels' assembly and the protocol's code anew
	cd internal/kernel/gen && go run .
	cd tools/protogen && go run .

bench:     ## kernels, forward and step on this machine
	go run ./cmd/melo bench

baselines: ## bench/baselines.txt anew: speeds in Go's benchmark format, on a quiet machine
	bash bench/baselines.sh measure

benchstat: ## this tree's speeds beside bench/baselines.txt
	bash bench/baselines.sh compare

compare:   ## side by side with PyTorch, ONNX Runtime and OpenVINO, ViT-B; needs Python, see bench/compare
	bash bench/compare/run.sh

compare-all: ## the same for ViT-Ti, S, B and L
	bash bench/compare/run.sh --models ti,s,b,l

lint:      ## golangci-lint with .golangci.yml
	golangci-lint run

golden:    ## the reference values in testdata/golden; needs Python, see tools/golden
	$(or $(PYTHON),python3) tools/golden/generate.py

size:      ## size of the stripped program
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/melo ./cmd/melo && ls -l bin/melo

release:   ## static binaries for four systems in dist/, with checksums and bills of materials
	go run ./tools/release -out dist

image:     ## a container image with nothing but the program; needs Docker or Podman
	docker build -t melo --build-arg REVISION=$$(git rev-parse HEAD) .
