# The server of compose.yaml: development only.
listener "tcp" {
  address     = "0.0.0.0:4117"
  tls_disable = true
}

storage "postgresql" {
  connection_url = "postgresql://vault_application:development@postgresql:5432/vault"
}

audit "file" "file" {
  options = { file_path = "/var/lib/health-vault/audit.log" }
}

audit "postgres" "table" {}
