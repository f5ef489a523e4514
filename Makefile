# Each target is one line that calls one script; "make" alone lists them.
run := sh plpython/mlshare_tools/run.sh

.DEFAULT_GOAL := help
.PHONY: help demo share-demo share-stop test up down clean dsn psql install lint bench bench-plots docs build

help:     ## list the targets
	@grep -E '^[a-z-]+: +##' $(MAKEFILE_LIST) | sed 's/:  *## /\t/' | expand -t 13
demo:     ## a guided tour on real data; CSV=file TARGET=column takes data of your own
	@$(run) demo $(if $(CSV),--csv '$(CSV)') $(if $(TARGET),--target '$(TARGET)')
up:       ## make and start the private cluster under .local/
	@$(run) up
down:     ## stop it
	@$(run) down
clean:    ## stop and remove it
	@$(run) clean
dsn:      ## print a connection string of its superuser
	@$(run) dsn
psql:     ## open psql on it
	@$(run) psql
share-demo: ## publish a table, activate a profile, read it with the Delta Sharing client and train a classifier
	@$(run) share-demo
share-stop: ## end the worker and the server that share-demo left running
	@$(run) share-stop
test:     ## all set-up, linters, every suite; again against the Docker images where a daemon answers
	@$(run) test $(ARGS)
lint:     ## linters only
	@$(run) lint
docs:     ## write the generated parts of README.md and docs/
	@$(run) docs
bench:    ## speed, and with DATA=directory of bank-full.csv quality of training; QUICK=1: in three minutes
	@$(run) bench $(if $(QUICK),--quick) $(ARGS) $(DATA)
bench-plots: ## plots of growth under docs/plots; QUICK=1: small sizes
	@$(run) bench-plots $(if $(QUICK),--quick)
build:    ## write the extension files into build/
	@$(run) build build
install:  ## install into an existing server: PG_CONFIG=… PREFIX=/opt/mlshare
	@$(run) install $(if $(PG_CONFIG),--pg-config $(PG_CONFIG)) $(if $(PREFIX),--prefix $(PREFIX))
