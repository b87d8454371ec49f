package erp

import "net/http"

func page(mux *http.ServeMux, c *Company) {}
