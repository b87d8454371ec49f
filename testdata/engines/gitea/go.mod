module tandem-engines/gitea

go 1.26

require code.gitea.io/gitea v1.25.2
