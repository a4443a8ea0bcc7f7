//! Generates the bindings from the installed headers and compiles the shim. Nothing about DPDK's layouts is copied by hand.
//!
//! The headers are whatever `pkg-config libdpdk` names, so `PKG_CONFIG_PATH` selects another DPDK (22.11 and later).

use std::path::PathBuf;
use std::process::{Command, exit};

const REMEDY: &str = "install it with: apt-get install libdpdk-dev libclang-dev pkg-config \
                      (or point PKG_CONFIG_PATH at the libdpdk.pc of another DPDK, 22.11 or later)";

/// Ends the build with one readable paragraph instead of a panic's backtrace.
fn fail(what: &str) -> ! {
    println!("cargo::error=dpdk-sys: {what}; {REMEDY}");
    exit(1)
}

fn pkg_config(args: &[&str]) -> String {
    let program = std::env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    match Command::new(&program).args(args).arg("libdpdk").output() {
        Err(e) => fail(&format!("cannot run {program}: {e}")),
        Ok(out) if !out.status.success() => {
            fail(&format!("DPDK not found: {}", String::from_utf8_lossy(&out.stderr).trim()))
        }
        Ok(out) => String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    }
}

fn main() {
    for file in ["csrc/wrapper.h", "csrc/shim.c", "build.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    for var in ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_SYSROOT_DIR", "LIBCLANG_PATH"] {
        println!("cargo::rerun-if-env-changed={var}");
    }

    let version = pkg_config(&["--modversion"]);
    let number = |i: usize| version.split('.').nth(i).and_then(|s| s.parse::<u32>().ok()).unwrap_or(0);
    if (number(0), number(1)) < (22, 11) {
        fail(&format!("DPDK {version} is too old, 22.11 or later is needed"));
    }
    println!("cargo::metadata=version={version}");

    let cflags: Vec<String> = pkg_config(&["--cflags"]).split_whitespace().map(str::to_owned).collect();
    let mut cc = cc::Build::new();
    cc.file("csrc/shim.c").include("csrc").opt_level(3).define("ALLOW_EXPERIMENTAL_API", None).warnings(false);
    for flag in &cflags {
        cc.flag(flag);
    }
    // DPDK's inlines leave parameters unused; its deprecation marks are about names that the shim does not use.
    cc.flag("-Wno-deprecated-declarations");
    if let Err(e) = cc.try_compile("dpdk_shim") {
        fail(&format!("cannot compile the C shim against DPDK {version}: {e}"));
    }

    // Shared libraries: drivers are plugins that EAL loads. Only what is called is named here.
    let dirs = pkg_config(&["--libs-only-L", "--keep-system-libs"]);
    for dir in dirs.split_whitespace().filter_map(|f| f.strip_prefix("-L")) {
        println!("cargo::rustc-link-search=native={dir}");
    }
    for lib in ["rte_net_ring", "rte_ethdev", "rte_mbuf", "rte_mempool", "rte_ring", "rte_eal"] {
        println!("cargo::rustc-link-lib=dylib={lib}");
    }

    let bindings = bindgen::Builder::default()
        .header("csrc/wrapper.h")
        .clang_args(&cflags)
        .clang_args(["-Icsrc", "-DALLOW_EXPERIMENTAL_API"])
        .allowlist_function("dpdk_shim_.*")
        .allowlist_function("rte_eal_init|rte_eal_get_runtime_dir|rte_version|rte_strerror|rte_socket_id|rte_dev_probe")
        .allowlist_function("rte_thread_register|rte_thread_unregister|rte_get_tsc_hz|rte_log_set_global_level")
        .allowlist_function("rte_malloc_get_socket_stats|rte_mempool_(free|avail_count|calc_obj_size)")
        .allowlist_function("rte_pktmbuf_(pool_create|free_bulk|clone|copy)")
        .allowlist_function("rte_ring_(create|free)")
        .allowlist_function("rte_eth_from_rings")
        .allowlist_function(
            "rte_eth_dev_(configure|start|stop|close|info_get|set_mtu|get_mtu|adjust_nb_rx_tx_desc|is_valid_port|\
             count_total|get_name_by_port|set_link_up|set_link_down|socket_id|callback_register|callback_unregister|\
             is_removed|flow_ctrl_get|flow_ctrl_set)",
        )
        .allowlist_function("rte_eth_(rx|tx)_queue_setup|rte_eth_(macaddr_get|promiscuous_enable|promiscuous_disable)")
        .allowlist_function("rte_eth_(stats_get|stats_reset|rx_metadata_negotiate|allmulticast_enable)")
        .allowlist_function("rte_eth_xstats_(get|get_names)")
        .allowlist_function("rte_flow_(validate|conv|create|destroy|flush|query|isolate|pick_transfer_proxy)")
        .allowlist_function("rte_flow_(get_aged_flows|tunnel_decap_set|tunnel_match|get_restore_info)")
        .allowlist_function("rte_flow_tunnel_(action_decap|item)_release")
        .allowlist_function("rte_flow_action_handle_(create|destroy|query|update)")
        .allowlist_function("rte_flow_(info_get|configure|push|pull)")
        .allowlist_function("rte_flow_(pattern_template|actions_template|template_table)_(create|destroy)")
        .allowlist_function("rte_flow_async_(create|destroy|action_handle_(create|destroy|query))")
        .allowlist_function(
            "rte_mtr_(capabilities_get|meter_profile_add|meter_profile_delete|create|destroy|stats_read|stats_update)",
        )
        .allowlist_function("rte_mtr_meter_policy_(add|delete|validate|update)")
        .allowlist_function("rte_mtr_meter_(enable|disable|profile_update|dscp_table_update)")
        .allowlist_type("dpdk_layout|rte_flow_(item|action|error)_type|rte_flow_(field_id|modify_op|query_count|query_age|op_status|conv_op|action_rss|action_count|action_age|action_modify_field)")
        .allowlist_type("rte_flow_(attr|item|action|error|indir_action_conf)|rte_mtr_error_type|rte_mtr_color_in_protocol|rte_color")
        .allowlist_type("rte_flow_item_(eth|vlan|ipv4|ipv6)")
        .allowlist_var("MBUF_F_.*|ETH_DEV_.*|ETH_RX_.*|ETH_TX_.*|ETH_RSS_.*|MTR_STATS_.*")
        .allowlist_var("RTE_MAX_ETHPORTS|RTE_MAX_LCORE|LCORE_ID_ANY|RTE_PKTMBUF_HEADROOM|RTE_MEMPOOL_CACHE_MAX_SIZE")
        .allowlist_var("RTE_MBUF_DEFAULT_BUF_SIZE|RTE_ETH_LINK_SPEED_AUTONEG|RTE_ETH_MQ_RX_RSS|RTE_ETHER_.*_MTU")
        .allowlist_var("RING_F_SP_ENQ|RING_F_SC_DEQ|RTE_MEMPOOL_NAMESIZE|RTE_ETH_NAME_MAX_LEN")
        .allowlist_type("rte_eth_rx_mq_mode|rte_eth_event_type|rte_eth_fc_mode")
        // Their members move or are shared-memory state: only the offsets above are used.
        .opaque_type("rte_mbuf|rte_mempool|rte_ring|rte_eth_dev|rte_device|rte_flow_item_flex.*")
        .prepend_enum_name(false)
        .derive_default(true)
        .layout_tests(true)
        .generate_comments(false)
        .generate();
    let bindings = match bindings {
        Ok(b) => b,
        Err(e) => fail(&format!("bindgen cannot read the headers of DPDK {version} (is libclang-dev there?): {e}")),
    };
    let Some(out) = std::env::var_os("OUT_DIR").map(PathBuf::from) else { fail("OUT_DIR is not set") };
    if let Err(e) = bindings.write_to_file(out.join("bindings.rs")) {
        fail(&format!("cannot write the bindings: {e}"));
    }
}
