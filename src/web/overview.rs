//! The page at `/`.

use super::own::{CONTRACT, VERSION};

/// Title, version, and a link to the metrics.
pub fn page(telemetry_path: &str) -> String {
    let path = telemetry_path.trim_start_matches('/');
    format!(
        "<!DOCTYPE html>\n\
         <html lang=\"en\">\n\
         <head><meta charset=\"utf-8\"><title>hostwarden</title></head>\n\
         <body>\n\
         <h1>hostwarden</h1>\n\
         <p>Version {VERSION}, in place of node_exporter {CONTRACT}.</p>\n\
         <ul><li><a href=\"{}\">Metrics</a></li></ul>\n\
         </body>\n\
         </html>\n",
        escape(path)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
