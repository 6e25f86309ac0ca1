// Command testlog reads the JSON of go test and prints what matters: with
// "failures" the output of failed tests, with "skips" the skipped tests, of
// which there must be none, and the count of the rest.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
}

func main() {
	outputs := make(map[string]*strings.Builder)
	passed, failed := 0, 0
	var skipped []string
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text())
			continue
		}
		name := e.Package + e.ImportPath + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			if outputs[name] == nil {
				outputs[name] = new(strings.Builder)
			}
			outputs[name].WriteString(e.Output)
		case "fail", "build-fail":
			failed++
			if b := outputs[name]; b != nil && os.Args[1] == "failures" {
				fmt.Printf("--- %s\n%s", name, b)
			}
		case "pass":
			passed++
		case "skip":
			if e.Test != "" {
				skipped = append(skipped, name)
			}
		}
	}
	if len(skipped) > 0 {
		fmt.Println("skipped tests:", strings.Join(skipped, ", "))
		os.Exit(1)
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
}
