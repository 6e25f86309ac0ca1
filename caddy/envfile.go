package kindly

import (
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// loadEnvFile sets the variables of a file that are not set yet. It reads what
// --envfile of Caddy's own commands reads: KEY=VALUE in each line, with `export `
// before it or not, values in quotes over several lines, comments after #.
func loadEnvFile(name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return fmt.Errorf("--envfile: %w", err)
	}
	lines := strings.Split(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		number := i + 1
		line := strings.TrimSpace(lines[i])
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimPrefix(key, "export ")
		if !ok || key == "" || strings.ContainsAny(key, " \t") || strings.HasPrefix(value, " ") || strings.HasPrefix(value, "\t") {
			return fmt.Errorf("--envfile %s: line %d is not in the form KEY=VALUE, without spaces around =", name, number)
		}
		if quote, quoted := openQuote(value); quoted {
			value = value[1:]
			for !closed(value, quote) && i+1 < len(lines) {
				i++
				value += "\n" + lines[i]
			}
			value = strings.ReplaceAll(strings.TrimSuffix(strings.TrimRight(value, " \t"), quote), `\`+quote, quote)
		} else if before, _, found := strings.Cut(value, "#"); found {
			value = strings.TrimRight(before, " \t")
		}
		if _, set := os.LookupEnv(key); set {
			continue
		}
		if err := os.Setenv(key, value); err != nil {
			return fmt.Errorf("--envfile %s: line %d: %w", name, number, err)
		}
	}
	return nil
}

func openQuote(value string) (quote string, quoted bool) {
	if strings.HasPrefix(value, `"`) || strings.HasPrefix(value, "'") {
		return value[:1], true
	}
	return "", false
}

func closed(value, quote string) bool {
	value = strings.TrimRight(value, " \t")
	return strings.HasSuffix(value, quote) && !strings.HasSuffix(value, `\`+quote)
}

// loadEnvFiles loads several. Where Caddy keeps its files depends on variables.
func loadEnvFiles(names []string) error {
	for _, name := range names {
		if err := loadEnvFile(name); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		caddy.DefaultStorage.Path = caddy.AppDataDir()
	}
	return nil
}
