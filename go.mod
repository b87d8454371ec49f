module tandem

go 1.26

require golang.org/x/text v0.37.0 // indirect
