module node-hours

go 1.24

require tollkeeper.dev/meter v0.0.0

replace tollkeeper.dev/meter => ./sdk
