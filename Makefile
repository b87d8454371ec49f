engines: ; @.ci/engines
